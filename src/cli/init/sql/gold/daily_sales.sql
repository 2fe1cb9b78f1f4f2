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
