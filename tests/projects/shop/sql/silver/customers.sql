CREATE OR REFRESH STREAMING TABLE silver.customers
AS
SELECT customer_id, trim(name) AS name, address['city'] AS city, address['zip'] AS zip, tags, joined
FROM STREAM bronze.customers;
