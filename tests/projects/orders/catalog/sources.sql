-- The tables that the statements in tests/clients/statements speak of come of these.
CREATE SOURCE bronze.orders (
  id BIGINT, customer_id BIGINT, amount DECIMAL(18,2), qty INT, d DATE, ts TIMESTAMP, tags ARRAY<STRING>, ok BOOLEAN,
  f DOUBLE, u STRING
)
WITH (connector = 'files', path = 'input/orders')
FORMAT PLAIN ENCODE JSON;

CREATE SOURCE bronze.customers (id BIGINT, name STRING)
WITH (connector = 'files', path = 'input/customers')
FORMAT PLAIN ENCODE JSON;
