CREATE STREAMING TABLE sales.orders AS
SELECT id, customer_id, amount, qty, d, ts, tags, ok, f, u FROM STREAM bronze.orders;
