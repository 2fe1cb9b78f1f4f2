CREATE SOURCE bronze.orders (
  order_id BIGINT NOT NULL,
  customer_id BIGINT,
  amount DECIMAL(18,2),
  status STRING,
  ordered_at TIMESTAMPTZ,
  WATERMARK FOR ordered_at AS ordered_at - INTERVAL '10' MINUTE
)
WITH (connector = 'files', path = 'input/orders')
FORMAT PLAIN ENCODE CSV;

COMMENT ON TABLE bronze.orders IS 'Orders as the shop exports them';
