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

EXECUTE UNIT TEST discounts_are_rounded_to_cents FOR silver.order_items
  MOCK bronze.order_items(order_item_id BIGINT, order_id BIGINT, product_id BIGINT, quantity INT, unit_price DECIMAL(18,2), discount_percent INT)
    AS (VALUES (1, 10, 100, 3, 9.99, 15), (2, 10, 101, 1, 5.00, NULL), (3, 10, 102, 0, 5.00, 0))
  EXPECTED(order_item_id BIGINT, discount_percent INT, gross_amount DECIMAL(18,2), net_amount DECIMAL(18,2))
    AS (VALUES (1, 15, 29.97, 25.47), (2, 0, 5.00, 5.00));
