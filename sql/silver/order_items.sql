-- Order lines with what each costs before and after its discount.
CREATE OR REFRESH STREAMING TABLE silver.order_items (
  order_item_id BIGINT NOT NULL,
  order_id BIGINT NOT NULL,
  line_number INT,
  product_id BIGINT NOT NULL,
  quantity INT,
  unit_price DECIMAL(18,2),
  discount_percent INT,
  gross_amount DECIMAL(18,2),
  net_amount DECIMAL(18,2),
  PRIMARY KEY (order_item_id),
  CONSTRAINT order_known EXPECT (order_id IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT product_known EXPECT (product_id IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT quantity_positive EXPECT (quantity > 0) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT discount_possible EXPECT (discount_percent BETWEEN 0 AND 100)
)
AS SELECT
  order_item_id,
  order_id,
  line_number,
  product_id,
  quantity,
  unit_price,
  coalesce(discount_percent, 0) AS discount_percent,
  quantity * unit_price AS gross_amount,
  round(quantity * unit_price * (100 - coalesce(discount_percent, 0)) / 100, 2) AS net_amount
FROM STREAM bronze.order_items;

COMMENT ON TABLE silver.order_items IS 'Order lines, cleaned';
COMMENT ON COLUMN silver.order_items.gross_amount IS 'Quantity times price';
COMMENT ON COLUMN silver.order_items.net_amount IS 'Gross amount less the discount, rounded to cents';
