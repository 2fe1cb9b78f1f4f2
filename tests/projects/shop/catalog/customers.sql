CREATE SOURCE bronze.customers (
  customer_id BIGINT NOT NULL,
  name STRING,
  address STRUCT<city STRING, zip STRING>,
  tags ARRAY<STRING>,
  joined DATE
)
WITH (connector = 'files', path = 'input/customers')
FORMAT PLAIN ENCODE JSON;
