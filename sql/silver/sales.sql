-- Sales of all stores as they happen.
CREATE OR REFRESH STREAMING TABLE silver.sales (
  sale_id TEXT NOT NULL,
  event_time TIMESTAMPTZ NOT NULL,
  store_id INT NOT NULL,
  product_id BIGINT NOT NULL,
  qty INT NOT NULL,
  price DECIMAL(10,2) NOT NULL,
  PRIMARY KEY (sale_id),
  CONSTRAINT complete EXPECT (event_time IS NOT NULL AND store_id IS NOT NULL AND product_id IS NOT NULL)
    ON VIOLATION QUARANTINE ROW,
  CONSTRAINT quantity_positive EXPECT (qty > 0) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT price_not_negative EXPECT (price >= 0) ON VIOLATION QUARANTINE ROW
)
AS SELECT
  sale_id,
  event_time,
  store AS store_id,
  product AS product_id,
  quantity AS qty,
  price
FROM STREAM bronze.sales;

COMMENT ON TABLE silver.sales IS 'Sales of all stores as they happen';
COMMENT ON COLUMN silver.sales.price IS 'What one piece was sold for';

EXECUTE UNIT TEST incomplete_sales_are_set_apart FOR silver.sales
  MOCK bronze.sales(sale_id TEXT, event_time TIMESTAMPTZ, store INT, product BIGINT, quantity INT, price DECIMAL(10,2))
    AS (VALUES ('s1', '2025-01-01 10:00:00+00', 1, 5, 2, 3.50), ('s2', '2025-01-01 10:00:00+00', NULL, 5, 2, 3.50),
               ('s3', '2025-01-01 10:00:00+00', 1, 5, 0, 3.50), ('s4', '2025-01-01 10:00:00+00', 1, 5, 1, -1.00))
  EXPECTED(sale_id TEXT, store_id INT, product_id BIGINT, qty INT, price DECIMAL(10,2)) AS (VALUES ('s1', 1, 5, 2, 3.50));
