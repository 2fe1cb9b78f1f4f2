CREATE MATERIALIZED VIEW gold.customer_sales
AS
SELECT
  c.customer_id,
  c.name,
  c.city,
  count(*) AS orders,
  sum(o.amount) AS revenue,
  max(o.ordered_at) AS last_order_at
FROM silver.orders AS o
JOIN silver.customers AS c ON c.customer_id = o.customer_id
GROUP BY c.customer_id, c.name, c.city;

COMMENT ON TABLE gold.customer_sales IS 'Sales of each customer';
COMMENT ON COLUMN gold.customer_sales.revenue IS 'Sum of what was paid';
