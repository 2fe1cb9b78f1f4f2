-- Customers as they were and are: a row a version (SCD type 2), with first and last order on the current one.
CREATE MATERIALIZED VIEW gold.dim_customer (
  customer_key BIGINT NOT NULL,
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
  valid_from TIMESTAMPTZ,
  valid_to TIMESTAMPTZ,
  is_current BOOLEAN NOT NULL,
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
  -- A hash of who it is and since when: the same in every refresh, and in every table computed anew. A late change that
  -- moves a version's start makes it another version, with another key.
  surrogate_key(c.customer_id, c.__start_at) AS customer_key,
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
  c.__start_at AS valid_from,
  c.__end_at AS valid_to,
  c.__end_at IS NULL AS is_current,
  b.first_order_date,
  b.last_order_date,
  coalesce(b.order_count, 0) AS order_count
FROM silver.customers c
LEFT JOIN behaviour b ON b.customer_id = c.customer_id AND c.__end_at IS NULL;

COMMENT ON TABLE gold.dim_customer IS 'Customers, a row a version; is_current for those of today';
COMMENT ON COLUMN gold.dim_customer.customer_key IS 'Surrogate key of the version, a hash of customer_id and valid_from: another only where a late change moves valid_from';
COMMENT ON COLUMN gold.dim_customer.email_missing IS 'True for customers who left no e-mail address';
COMMENT ON COLUMN gold.dim_customer.valid_to IS 'When the next version begins; NULL while this one is current';
COMMENT ON COLUMN gold.dim_customer.order_count IS 'Orders of the customer so far, on the current version';

EXECUTE UNIT TEST orders_count_for_the_current_version FOR gold.dim_customer
  MOCK silver.customers(customer_id BIGINT, first_name TEXT, last_name TEXT, email_missing BOOLEAN, __start_at TIMESTAMPTZ, __end_at TIMESTAMPTZ)
    AS (VALUES (1, 'Ada', 'Byron', false, '2025-01-01 00:00:00+00', '2025-02-01 00:00:00+00'),
               (1, 'Ada', 'Lovelace', false, '2025-02-01 00:00:00+00', NULL))
  MOCK silver.orders(order_id BIGINT, customer_id BIGINT, order_date DATE) AS (VALUES (1, 1, '2025-01-05'))
  STEP MOCK silver.orders AS (VALUES (2, 1, '2025-03-05'))
  EXPECTED(customer_key BIGINT, customer_name TEXT, is_current BOOLEAN, last_order_date DATE, order_count BIGINT)
    AS (VALUES (surrogate_key(CAST(1 AS BIGINT), CAST('2025-01-01 00:00:00+00' AS TIMESTAMPTZ)), 'Ada Byron', false, CAST(NULL AS DATE), 0),
               (surrogate_key(CAST(1 AS BIGINT), CAST('2025-02-01 00:00:00+00' AS TIMESTAMPTZ)), 'Ada Lovelace', true, DATE '2025-03-05', 2));
