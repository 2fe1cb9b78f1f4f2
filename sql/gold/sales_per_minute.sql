-- Sales of all stores by minute, seconds after they happen.
CREATE MATERIALIZED VIEW gold.sales_per_minute (
  minute TIMESTAMPTZ NOT NULL,
  store_id INT NOT NULL,
  sale_count BIGINT NOT NULL,
  total_qty BIGINT NOT NULL,
  total_revenue DECIMAL(18,2) NOT NULL,
  PRIMARY KEY (minute, store_id)
)
TRIGGER ON UPDATE AT MOST EVERY INTERVAL '1' SECOND
AS SELECT
  date_trunc('minute', event_time) AS minute,
  store_id,
  count(*) AS sale_count,
  sum(qty) AS total_qty,
  sum(qty * price) AS total_revenue
FROM silver.sales
GROUP BY date_trunc('minute', event_time), store_id;

COMMENT ON TABLE gold.sales_per_minute IS 'Sales by minute and store, as they happen';
