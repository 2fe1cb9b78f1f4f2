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

EXECUTE UNIT TEST a_late_sale_corrects_its_minute FOR gold.sales_per_minute
  MOCK silver.sales(event_time TIMESTAMPTZ, store_id INT, qty INT, price DECIMAL(10,2))
    AS (VALUES ('2025-01-01 10:00:05+00', 1, 2, 3.50), ('2025-01-01 10:01:00+00', 1, 1, 1.00))
  STEP MOCK silver.sales AS (VALUES ('2025-01-01 10:00:59+00', 1, 1, 3.00))
  EXPECTED(minute TIMESTAMPTZ, store_id INT, sale_count BIGINT, total_qty BIGINT, total_revenue DECIMAL(18,2))
    AS (VALUES ('2025-01-01 10:00:00+00', 1, 2, 3, 10.00), ('2025-01-01 10:01:00+00', 1, 1, 1, 1.00));
