CREATE OR REFRESH STREAMING TABLE silver.orders (
  CONSTRAINT quantity_positive EXPECT (quantity > 0) ON VIOLATION QUARANTINE ROW
)
AS SELECT order_id, customer_id, quantity, price FROM STREAM bronze.orders;
