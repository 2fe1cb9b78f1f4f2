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
