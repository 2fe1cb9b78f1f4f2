CREATE OR REFRESH STREAMING TABLE silver.orders (
  order_id BIGINT NOT NULL,
  customer_id BIGINT,
  amount DECIMAL(18,2),
  status STRING,
  order_date DATE,
  ordered_at TIMESTAMPTZ,
  CONSTRAINT status_known EXPECT (status IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT amount_positive EXPECT (amount > 0) ON VIOLATION DROP ROW,
  CONSTRAINT amount_usual EXPECT (amount < 1000)
)
AS
SELECT
  order_id,
  customer_id,
  amount,
  lower(trim(status)) AS status,
  CAST(ordered_at AS DATE) AS order_date,
  ordered_at
FROM STREAM bronze.orders;

COMMENT ON TABLE silver.orders IS 'Orders that can be counted';
COMMENT ON COLUMN silver.orders.amount IS 'In euros, tax included';
