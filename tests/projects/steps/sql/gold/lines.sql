-- A join, whose rows come and go with the feed.
CREATE MATERIALIZED VIEW gold.lines
AS SELECT o.order_id, o.customer_id, c.city, o.quantity, o.price
FROM silver.orders AS o JOIN silver.customers AS c ON o.customer_id = c.customer_id
WHERE c.__end_at IS NULL;
