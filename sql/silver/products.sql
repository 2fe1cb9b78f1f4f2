-- The catalogue, flattened.
CREATE OR REFRESH STREAMING TABLE silver.products (
  product_id BIGINT NOT NULL,
  sku TEXT,
  product_name TEXT,
  category TEXT,
  subcategory TEXT,
  brand TEXT,
  list_price DECIMAL(18,2),
  unit_cost DECIMAL(18,2),
  currency TEXT,
  weight_grams INT,
  updated_at TIMESTAMPTZ,
  PRIMARY KEY (product_id),
  CONSTRAINT price_positive EXPECT (list_price > 0) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT sold_above_cost EXPECT (list_price > unit_cost)
)
AS SELECT
  product_id,
  upper(trim(sku)) AS sku,
  trim(name) AS product_name,
  trim(category['main']) AS category,
  trim(category['sub']) AS subcategory,
  trim(attributes['brand']) AS brand,
  pricing['list'] AS list_price,
  pricing['cost'] AS unit_cost,
  upper(trim(pricing['currency'])) AS currency,
  attributes['weight_grams'] AS weight_grams,
  updated_at
FROM STREAM bronze.products;

COMMENT ON TABLE silver.products IS 'Products, cleaned and flattened';

EXECUTE UNIT TEST what_is_free_is_set_apart FOR silver.products
  MOCK bronze.products(product_id BIGINT, sku TEXT, pricing STRUCT<list DECIMAL(18,2), cost DECIMAL(18,2), currency TEXT>)
    AS (VALUES (1, ' ab-1 ', named_struct('list', 10.00, 'cost', 4.00, 'currency', 'usd')),
               (2, 'ab-2', named_struct('list', 0.00, 'cost', 4.00, 'currency', 'usd')))
  EXPECTED(product_id BIGINT, sku TEXT, list_price DECIMAL(18,2), unit_cost DECIMAL(18,2), currency TEXT)
    AS (VALUES (1, 'AB-1', 10.00, 4.00, 'USD'));
