-- Another PostgreSQL reads project `shop` as foreign tables: psql -v host=... -v port=... -f fdw.sql
\set ON_ERROR_STOP on
CREATE EXTENSION postgres_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host :'host', port :'port', dbname 'sluice', fetch_size '2');
CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (user 'sluice', password_required 'false');
CREATE SCHEMA silver;
IMPORT FOREIGN SCHEMA silver LIMIT TO (orders, customers) FROM SERVER shop INTO silver;
-- Filters and aggregates run over there, the join here, and so the inner side is read again and again.
SELECT count(*), sum(amount) FROM silver.orders WHERE order_date = DATE '2026-01-01';
SELECT order_id, amount, status, ordered_at AT TIME ZONE 'UTC' FROM silver.orders ORDER BY order_id LIMIT 3;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT c.name, count(*) FROM silver.customers c JOIN silver.orders o ON c.customer_id + 0 = o.customer_id + 0 GROUP BY 1 ORDER BY 1;
BEGIN;
DECLARE c CURSOR FOR SELECT order_id FROM silver.orders ORDER BY order_id;
FETCH 3 FROM c;
SAVEPOINT a;
SELECT count(*) FROM silver.customers;
ROLLBACK TO a;
FETCH 1 FROM c;
COMMIT;
