-- What the API said of a customer and when, flattened and without e-mail and phone: a hash still joins and counts, a mask
-- still helps support. A customer who was changed comes again; silver.customers keeps the versions.
CREATE OR REFRESH STREAMING TABLE silver.customer_changes (
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
  _partition TEXT,
  _offset BIGINT,
  CONSTRAINT email_given EXPECT (email_hash IS NOT NULL)
)
AS SELECT
  customer_id,
  initcap(trim(name['first'])) AS first_name,
  initcap(trim(name['last'])) AS last_name,
  sha256(nullif(lower(trim(contact['email'])), '')) AS email_hash,
  nullif(trim(contact['email']), '') IS NULL AS email_missing,
  mask_phone(contact['phone']) AS phone,
  initcap(trim(address['city'])) AS city,
  upper(trim(address['state'])) AS state,
  address['postal_code'] AS postal_code,
  upper(trim(address['country'])) AS country,
  preferences['newsletter'] AS newsletter,
  lower(preferences['language']) AS language,
  created_at,
  -- A customer who was never changed has no time of it.
  coalesce(updated_at, created_at) AS updated_at,
  -- Of two records of one time the later one counts.
  _partition,
  _offset
FROM STREAM bronze.customers;

COMMENT ON TABLE silver.customer_changes IS 'Records of customers as they came, cleaned and flattened; personal data hashed or masked';
COMMENT ON COLUMN silver.customer_changes.email_hash IS 'SHA-256 of the trimmed, lower-case e-mail address, as hex; NULL where there is none';
COMMENT ON COLUMN silver.customer_changes.email_missing IS 'True for customers who left no e-mail address; they are kept';
COMMENT ON COLUMN silver.customer_changes.phone IS 'Masked but for the last four digits';

EXECUTE UNIT TEST no_address_is_kept FOR silver.customer_changes
  MOCK bronze.customers(customer_id BIGINT, name STRUCT<first TEXT, last TEXT>, contact STRUCT<email TEXT, phone TEXT>,
                        created_at TIMESTAMPTZ, updated_at TIMESTAMPTZ)
    AS (VALUES (1, named_struct('first', ' ada ', 'last', 'LOVELACE'), named_struct('email', ' Ada@Example.com', 'phone', '+1 555 010 1234'),
                '2025-01-01 00:00:00+00', NULL),
               (2, named_struct('first', 'alan', 'last', 'turing'), named_struct('email', ' ', 'phone', NULL),
                '2025-01-01 00:00:00+00', '2025-02-01 00:00:00+00'))
  EXPECTED(customer_id BIGINT, first_name TEXT, last_name TEXT, email_hash TEXT, email_missing BOOLEAN, updated_at TIMESTAMPTZ)
    AS (VALUES (1, 'Ada', 'Lovelace', sha256('ada@example.com'), false, '2025-01-01 00:00:00+00'),
               (2, 'Alan', 'Turing', NULL, true, '2025-02-01 00:00:00+00'));
