-- Orders made fit for use. Each row of bronze is taken once; a row that breaks a rule is kept apart, with the rule's name,
-- in silver.orders__quarantine.
CREATE OR REFRESH STREAMING TABLE silver.orders (
  order_id BIGINT NOT NULL,
  customer TEXT,
  product TEXT,
  quantity INT,
  amount DECIMAL(18,2),
  ordered_at TIMESTAMPTZ,
  order_date DATE,
  CONSTRAINT quantity_positive EXPECT (quantity > 0) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT customer_known EXPECT (customer IS NOT NULL)
)
AS SELECT
  order_id,
  trim(customer) AS customer,
  lower(trim(product)) AS product,
  quantity,
  CAST(quantity * price AS DECIMAL(18,2)) AS amount,
  ordered_at,
  CAST(ordered_at AS DATE) AS order_date
FROM STREAM bronze.orders;

COMMENT ON TABLE silver.orders IS 'Orders with amounts, checked';
COMMENT ON COLUMN silver.orders.amount IS 'Quantity times price';

-- What must come of some rows: `sluice test` runs it, also where no data is yet.
EXECUTE UNIT TEST what_holds_nothing_is_set_apart FOR silver.orders
  MOCK bronze.orders(order_id BIGINT, customer TEXT, product TEXT, quantity INT, price DECIMAL(10,2), ordered_at TIMESTAMPTZ)
    AS (VALUES (1, ' Ada ', 'Tea', 2, 4.20, '2026-01-15 08:00:00+00'), (2, 'Alan', 'Tea', 0, 4.20, '2026-01-15 09:00:00+00'))
  EXPECTED(order_id BIGINT, customer TEXT, product TEXT, amount DECIMAL(18,2), order_date DATE)
    AS (VALUES (1, 'Ada', 'tea', 8.40, '2026-01-15'));
