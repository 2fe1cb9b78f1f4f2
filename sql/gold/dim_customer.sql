-- Customers as they are now (type 1), with their first and last order.
CREATE MATERIALIZED VIEW gold.dim_customer (
  customer_key TEXT NOT NULL,
  customer_id BIGINT NOT NULL,
  customer_name TEXT,
  email_hash TEXT,
  email_missing BOOLEAN NOT NULL,
  phone TEXT,
  city TEXT,
  state TEXT,
  postal_code TEXT,
  country TEXT,
  newsletter BOOLEAN,
  customer_since DATE,
  first_order_date DATE,
  last_order_date DATE,
  order_count BIGINT NOT NULL,
  PRIMARY KEY (customer_key)
)
AS WITH behaviour AS (
  SELECT customer_id, min(order_date) AS first_order_date, max(order_date) AS last_order_date, count(*) AS order_count
  FROM silver.orders
  GROUP BY customer_id
)
SELECT
  -- A hash of the key, so that it stays the same when the table is computed anew.
  substr(sha256('customer ' || CAST(c.customer_id AS TEXT)), 1, 16) AS customer_key,
  c.customer_id,
  concat_ws(' ', c.first_name, c.last_name) AS customer_name,
  c.email_hash,
  c.email_missing,
  c.phone,
  c.city,
  c.state,
  c.postal_code,
  c.country,
  c.newsletter,
  CAST(c.created_at AS DATE) AS customer_since,
  b.first_order_date,
  b.last_order_date,
  coalesce(b.order_count, 0) AS order_count
FROM silver.customers c
LEFT JOIN behaviour b ON b.customer_id = c.customer_id;

COMMENT ON TABLE gold.dim_customer IS 'Customers as they are now, a row a customer';
COMMENT ON COLUMN gold.dim_customer.customer_key IS 'Surrogate key, the same in every refresh';
COMMENT ON COLUMN gold.dim_customer.email_missing IS 'True for customers who left no e-mail address';
