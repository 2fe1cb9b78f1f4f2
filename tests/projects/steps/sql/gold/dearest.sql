-- Top-k: its input is kept.
CREATE MATERIALIZED VIEW gold.dearest
AS SELECT order_id, city, price FROM gold.lines ORDER BY price DESC, order_id LIMIT 5;
