-- Customers and how they changed: a row a version (SCD type 2), whatever order the records came in.
CREATE OR REFRESH STREAMING TABLE silver.customers (
  customer_id BIGINT NOT NULL,
  first_name TEXT,
  last_name TEXT,
  email_hash TEXT,
  email_missing BOOLEAN NOT NULL,
  phone TEXT,
  city TEXT,
  state TEXT,
  postal_code TEXT,
  country TEXT,
  newsletter BOOLEAN,
  language TEXT,
  created_at TIMESTAMPTZ,
  updated_at TIMESTAMPTZ,
  __start_at TIMESTAMPTZ,
  __end_at TIMESTAMPTZ,
  PRIMARY KEY (customer_id, __start_at)
)
FLOW AUTO CDC FROM STREAM silver.customer_changes KEYS (customer_id) SEQUENCE BY updated_at STORED AS SCD TYPE 2;

COMMENT ON TABLE silver.customers IS 'Customers, a row a version; those of today have no __end_at';
COMMENT ON COLUMN silver.customers.email_hash IS 'SHA-256 of the trimmed, lower-case e-mail address, as hex; NULL where there is none';
COMMENT ON COLUMN silver.customers.email_missing IS 'True for customers who left no e-mail address; they are kept';
COMMENT ON COLUMN silver.customers.phone IS 'Masked but for the last four digits';
COMMENT ON COLUMN silver.customers.updated_at IS 'When the version was last told';
COMMENT ON COLUMN silver.customers.__start_at IS 'When the version began';
COMMENT ON COLUMN silver.customers.__end_at IS 'When the next one began; NULL while this one is current';

EXECUTE UNIT TEST late_change_finds_its_place FOR silver.customers
  MOCK silver.customer_changes(customer_id BIGINT, city TEXT, email_missing BOOLEAN, updated_at TIMESTAMPTZ)
    AS (VALUES (1, 'Paris', false, '2025-01-01 00:00:00+00'), (1, 'Rome', false, '2025-03-01 00:00:00+00'))
  STEP MOCK silver.customer_changes AS (VALUES (1, 'Oslo', false, '2025-02-01 00:00:00+00'))
  EXPECTED(customer_id BIGINT, city TEXT, __start_at TIMESTAMPTZ, __end_at TIMESTAMPTZ)
    AS (VALUES (1, 'Paris', '2025-01-01 00:00:00+00', '2025-02-01 00:00:00+00'),
               (1, 'Oslo', '2025-02-01 00:00:00+00', '2025-03-01 00:00:00+00'),
               (1, 'Rome', '2025-03-01 00:00:00+00', NULL));
