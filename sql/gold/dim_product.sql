-- Products with their margin.
CREATE MATERIALIZED VIEW gold.dim_product (
  product_id BIGINT NOT NULL,
  sku TEXT,
  product_name TEXT,
  category TEXT,
  subcategory TEXT,
  brand TEXT,
  list_price DECIMAL(18,2),
  unit_cost DECIMAL(18,2),
  unit_margin DECIMAL(18,2),
  margin_percent DECIMAL(9,2),
  price_band TEXT,
  PRIMARY KEY (product_id)
)
AS SELECT
  product_id,
  sku,
  product_name,
  category,
  subcategory,
  brand,
  list_price,
  unit_cost,
  list_price - unit_cost AS unit_margin,
  round(100 * (list_price - unit_cost) / list_price, 2) AS margin_percent,
  CASE WHEN list_price < 25 THEN 'low' WHEN list_price < 100 THEN 'middle' ELSE 'high' END AS price_band
FROM silver.products;

COMMENT ON TABLE gold.dim_product IS 'Products, a row a product';
COMMENT ON COLUMN gold.dim_product.margin_percent IS 'Margin as a share of the list price';

EXECUTE UNIT TEST margins_and_bands FOR gold.dim_product
  MOCK silver.products(product_id BIGINT, list_price DECIMAL(18,2), unit_cost DECIMAL(18,2))
    AS (VALUES (1, 24.99, 10.00), (2, 25.00, 10.00), (3, 100.00, 100.00))
  EXPECTED(product_id BIGINT, unit_margin DECIMAL(18,2), margin_percent DECIMAL(9,2), price_band TEXT)
    AS (VALUES (1, 14.99, 59.98, 'low'), (2, 15.00, 60.00, 'middle'), (3, 0.00, 0.00, 'high'));
