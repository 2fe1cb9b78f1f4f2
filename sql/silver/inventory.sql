-- Stock by warehouse and product. Less than nothing cannot lie on a shelf: it is set to nothing, and said so.
CREATE OR REFRESH STREAMING TABLE silver.inventory (
  snapshot_date DATE NOT NULL,
  warehouse TEXT NOT NULL,
  product_id BIGINT NOT NULL,
  quantity_on_hand INT,
  quantity_reserved INT,
  quantity_available INT,
  reorder_point INT,
  stock_corrected BOOLEAN NOT NULL,
  reported_on_hand INT,
  PRIMARY KEY (snapshot_date, warehouse, product_id),
  CONSTRAINT stock_reported EXPECT (reported_on_hand IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT stock_not_negative EXPECT (reported_on_hand >= 0)
)
AS SELECT
  snapshot_date,
  upper(trim(warehouse)) AS warehouse,
  product_id,
  greatest(quantity_on_hand, 0) AS quantity_on_hand,
  quantity_reserved,
  greatest(quantity_on_hand - quantity_reserved, 0) AS quantity_available,
  reorder_point,
  coalesce(quantity_on_hand < 0, false) AS stock_corrected,
  quantity_on_hand AS reported_on_hand
FROM STREAM bronze.inventory;

COMMENT ON TABLE silver.inventory IS 'Daily stock by warehouse and product, negative stock corrected to 0';
COMMENT ON COLUMN silver.inventory.stock_corrected IS 'True where the warehouse reported less than nothing';
COMMENT ON COLUMN silver.inventory.reported_on_hand IS 'What the warehouse reported';

EXECUTE UNIT TEST less_than_nothing_is_nothing FOR silver.inventory
  MOCK bronze.inventory(snapshot_date DATE, warehouse TEXT, product_id BIGINT, quantity_on_hand INT, quantity_reserved INT)
    AS (VALUES ('2025-01-01', ' north ', 1, -4, 0), ('2025-01-01', 'north', 2, 5, 7), ('2025-01-01', 'north', 3, NULL, 0))
  EXPECTED(warehouse TEXT, product_id BIGINT, quantity_on_hand INT, quantity_available INT, stock_corrected BOOLEAN, reported_on_hand INT)
    AS (VALUES ('NORTH', 1, 0, 0, true, -4), ('NORTH', 2, 5, 0, false, 5));
