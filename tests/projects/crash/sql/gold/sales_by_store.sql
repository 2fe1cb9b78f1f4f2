CREATE MATERIALIZED VIEW gold.sales_by_store
AS SELECT store, count(*) AS sales, sum(quantity) AS quantity, sum(position) AS positions
FROM silver.sales GROUP BY store;
