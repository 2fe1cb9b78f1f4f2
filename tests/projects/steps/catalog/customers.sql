CREATE SOURCE bronze.customers (customer_id BIGINT, op STRING, city STRING, updated_at TIMESTAMPTZ)
WITH (connector = 'http')
FORMAT PLAIN ENCODE JSON;
