CREATE MATERIALIZED VIEW gold.daily_sales
AS
SELECT order_date, count(*) AS orders, sum(amount) AS revenue
FROM silver.orders
GROUP BY order_date;
