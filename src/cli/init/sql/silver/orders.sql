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
