-- Sales by day and product, kept up to date as orders come.
CREATE MATERIALIZED VIEW gold.daily_sales AS
SELECT
  order_date,
  product,
  count(*) AS orders,
  sum(quantity) AS quantity,
  sum(amount) AS revenue
FROM silver.orders
GROUP BY order_date, product;

COMMENT ON MATERIALIZED VIEW gold.daily_sales IS 'Orders, quantity and revenue by day and product';

EXECUTE UNIT TEST orders_of_a_day_are_summed FOR gold.daily_sales
  MOCK silver.orders(order_date DATE, product TEXT, quantity INT, amount DECIMAL(18,2))
    AS (VALUES ('2026-01-15', 'tea', 2, 8.40), ('2026-01-15', 'tea', 1, 4.20), ('2026-01-16', 'tea', 1, 4.20))
  EXPECTED(order_date DATE, product TEXT, orders BIGINT, quantity BIGINT, revenue DECIMAL(28,2))
    AS (VALUES ('2026-01-15', 'tea', 2, 3, 12.60), ('2026-01-16', 'tea', 1, 1, 4.20));
