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
