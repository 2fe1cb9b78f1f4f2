\set customer random(10, 13)
SELECT name, orders, revenue FROM gold.customer_sales WHERE customer_id = :customer;
SELECT order_date, revenue FROM gold.daily_sales ORDER BY order_date DESC LIMIT 7;
SELECT status, count(*), sum(amount) FROM silver.orders WHERE amount > 1.50 GROUP BY status ORDER BY 1;
