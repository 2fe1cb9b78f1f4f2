-- A window.
CREATE MATERIALIZED VIEW gold.running
AS SELECT customer_id, order_id, sum(quantity) OVER (PARTITION BY customer_id ORDER BY order_id) AS so_far,
  row_number() OVER (PARTITION BY customer_id ORDER BY price DESC, order_id) AS place
FROM silver.orders;
