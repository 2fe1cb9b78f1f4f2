-- Page views by page.
CREATE MATERIALIZED VIEW gold.page_views AS
SELECT page, count(*) AS views, count(DISTINCT visitor) AS visitors, max(viewed_at) AS last_view
FROM bronze.page_views
GROUP BY page;

COMMENT ON MATERIALIZED VIEW gold.page_views IS 'Views and visitors by page';
