CREATE STREAMING TABLE sales.customers AS SELECT id, name FROM STREAM bronze.customers;
