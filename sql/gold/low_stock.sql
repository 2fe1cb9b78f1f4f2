-- What has to be ordered again, by the newest snapshot.
CREATE VIEW gold.low_stock AS
SELECT
  i.warehouse,
  i.product_id,
  p.product_name,
  i.quantity_available,
  i.reorder_point,
  i.stock_corrected
FROM silver.inventory i
JOIN gold.dim_product p ON p.product_id = i.product_id
WHERE i.snapshot_date = (SELECT max(snapshot_date) FROM silver.inventory)
  AND i.quantity_available <= i.reorder_point;

COMMENT ON VIEW gold.low_stock IS 'Products at or below their reorder point, by warehouse';

EXECUTE UNIT TEST the_newest_snapshot_counts FOR gold.low_stock
  MOCK silver.inventory(snapshot_date DATE, warehouse TEXT, product_id BIGINT, quantity_available INT, reorder_point INT)
    AS (VALUES ('2025-01-01', 'NORTH', 1, 0, 10), ('2025-01-02', 'NORTH', 1, 50, 10), ('2025-01-02', 'NORTH', 2, 10, 10))
  MOCK gold.dim_product(product_id BIGINT, product_name TEXT) AS (VALUES (1, 'Mug'), (2, 'Pen'))
  EXPECTED(warehouse TEXT, product_name TEXT, quantity_available INT) AS (VALUES ('NORTH', 'Pen', 10));
