CREATE VIEW gold.open_orders
AS
SELECT order_id, customer_id, amount FROM silver.orders WHERE status = 'open';
