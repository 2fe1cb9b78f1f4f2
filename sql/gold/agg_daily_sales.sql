-- The shop's days: what was ordered, whatever became of it, and what of it was cancelled or came back.
CREATE MATERIALIZED VIEW gold.agg_daily_sales (
  order_date DATE NOT NULL,
  order_count BIGINT NOT NULL,
  customer_count BIGINT NOT NULL,
  units BIGINT NOT NULL,
  gross_amount DECIMAL(18,2) NOT NULL,
  discount_amount DECIMAL(18,2) NOT NULL,
  net_amount DECIMAL(18,2) NOT NULL,
  margin_amount DECIMAL(18,2),
  lost_amount DECIMAL(18,2) NOT NULL,
  average_order_amount DECIMAL(18,2) NOT NULL,
  PRIMARY KEY (order_date)
)
AS SELECT
  order_date,
  count(DISTINCT order_id) AS order_count,
  count(DISTINCT customer_id) AS customer_count,
  sum(quantity) AS units,
  sum(gross_amount) AS gross_amount,
  sum(discount_amount) AS discount_amount,
  sum(net_amount) AS net_amount,
  sum(margin_amount) AS margin_amount,
  coalesce(sum(net_amount) FILTER (WHERE order_status IN ('cancelled', 'returned')), 0) AS lost_amount,
  round(sum(net_amount) / count(DISTINCT order_id), 2) AS average_order_amount
FROM gold.fact_sales
GROUP BY order_date;

COMMENT ON TABLE gold.agg_daily_sales IS 'Sales by day of order';
COMMENT ON COLUMN gold.agg_daily_sales.net_amount IS 'After discount, without shipping; lost_amount is in it';
COMMENT ON COLUMN gold.agg_daily_sales.lost_amount IS 'Of orders that were cancelled or came back';

EXECUTE UNIT TEST cancelled_orders_are_lost FOR gold.agg_daily_sales
  MOCK gold.fact_sales(order_id BIGINT, customer_id BIGINT, order_date DATE, order_status TEXT, quantity INT, gross_amount DECIMAL(18,2),
                       discount_amount DECIMAL(18,2), net_amount DECIMAL(18,2), margin_amount DECIMAL(18,2))
    AS (VALUES (1, 7, '2025-01-01', 'shipped', 2, 20.00, 2.00, 18.00, 8.00), (1, 7, '2025-01-01', 'shipped', 1, 5.00, 0.00, 5.00, 1.00))
  STEP MOCK gold.fact_sales AS (VALUES (2, 8, '2025-01-01', 'cancelled', 1, 10.00, 0.00, 10.00, 4.00))
  EXPECTED(order_date DATE, order_count BIGINT, customer_count BIGINT, units BIGINT, net_amount DECIMAL(18,2),
           lost_amount DECIMAL(18,2), average_order_amount DECIMAL(18,2))
    AS (VALUES ('2025-01-01', 2, 2, 4, 33.00, 10.00, 16.50));
