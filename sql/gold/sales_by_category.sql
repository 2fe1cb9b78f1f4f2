-- Sales by month and category.
CREATE VIEW gold.sales_by_category AS
SELECT
  d.year,
  d.month,
  p.category,
  sum(f.quantity) AS units,
  sum(f.net_amount) AS net_amount,
  sum(f.margin_amount) AS margin_amount
FROM gold.fact_sales f
JOIN gold.dim_date d ON d.date_key = f.date_key
JOIN gold.dim_product p ON p.product_id = f.product_id
GROUP BY d.year, d.month, p.category;

COMMENT ON VIEW gold.sales_by_category IS 'Sales by month and category';

EXECUTE UNIT TEST months_and_categories FOR gold.sales_by_category
  MOCK gold.fact_sales(date_key INT, product_id BIGINT, quantity INT, net_amount DECIMAL(18,2))
    AS (VALUES (20250131, 1, 2, 10.00), (20250201, 1, 1, 5.00), (20250201, 2, 1, 7.00))
  MOCK gold.dim_date(date_key INT, year INT, month INT) AS (VALUES (20250131, 2025, 1), (20250201, 2025, 2))
  MOCK gold.dim_product(product_id BIGINT, category TEXT) AS (VALUES (1, 'Mugs'), (2, 'Mugs'))
  EXPECTED(year INT, month INT, category TEXT, units BIGINT, net_amount DECIMAL(18,2))
    AS (VALUES (2025, 1, 'Mugs', 2, 10.00), (2025, 2, 'Mugs', 2, 12.00));
