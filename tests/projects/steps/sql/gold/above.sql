-- Averages and what they are compared with: two hidden tables.
CREATE MATERIALIZED VIEW gold.above
AS SELECT customer_id, avg(price) AS mean, count(*) AS orders FROM silver.orders GROUP BY customer_id
HAVING avg(price) > (SELECT avg(price) AS of_all FROM silver.orders);
