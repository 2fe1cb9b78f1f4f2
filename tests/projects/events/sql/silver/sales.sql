CREATE OR REFRESH STREAMING TABLE silver.sales
AS SELECT sale_id, event_time, store, product, quantity, price, _offset AS position FROM STREAM bronze.sales;
