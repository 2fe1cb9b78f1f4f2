-- Orders with types, one spelling of every status, and a status at all.
CREATE OR REFRESH STREAMING TABLE silver.orders (
  order_id BIGINT NOT NULL,
  customer_id BIGINT NOT NULL,
  ordered_at TIMESTAMPTZ NOT NULL,
  order_date DATE NOT NULL,
  order_status TEXT,
  channel TEXT,
  currency TEXT,
  shipping_amount DECIMAL(18,2),
  total_amount DECIMAL(18,2),
  PRIMARY KEY (order_id),
  CONSTRAINT status_known EXPECT (order_status IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT customer_known EXPECT (customer_id IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT date_readable EXPECT (ordered_at IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT total_not_negative EXPECT (total_amount >= 0)
)
AS SELECT
  order_id,
  customer_id,
  TRY_CAST(trim(order_date) AS TIMESTAMPTZ) AS ordered_at,
  CAST(TRY_CAST(trim(order_date) AS TIMESTAMPTZ) AS DATE) AS order_date,
  nullif(lower(trim(order_status)), '') AS order_status,
  lower(trim(channel)) AS channel,
  upper(trim(currency)) AS currency,
  shipping_amount,
  total_amount
FROM STREAM bronze.orders;

COMMENT ON TABLE silver.orders IS 'Orders, cleaned; those without a status are in silver.orders__quarantine';
COMMENT ON COLUMN silver.orders.ordered_at IS 'When the order was placed, UTC';
COMMENT ON COLUMN silver.orders.order_status IS 'pending, processing, shipped, delivered, returned or cancelled';
COMMENT ON COLUMN silver.orders.channel IS 'web, mobile_app or marketplace';
COMMENT ON COLUMN silver.orders.total_amount IS 'What the customer pays: lines after discount, and shipping';

EXECUTE UNIT TEST unreadable_orders_are_set_apart FOR silver.orders
  MOCK bronze.orders(order_id BIGINT, customer_id BIGINT, order_date TEXT, order_status TEXT, currency TEXT)
    AS (VALUES (1, 7, ' 2025-01-31T23:30:00Z ', ' Shipped', 'eur'), (2, 7, '2025-01-31T10:00:00Z', ' ', 'EUR'),
               (3, NULL, '2025-01-31T10:00:00Z', 'pending', 'EUR'), (4, 7, 'yesterday', 'pending', 'EUR'))
  EXPECTED(order_id BIGINT, order_date DATE, order_status TEXT, currency TEXT) AS (VALUES (1, '2025-01-31', 'shipped', 'EUR'));
