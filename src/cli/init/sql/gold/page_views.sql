-- Page views by page.
CREATE MATERIALIZED VIEW gold.page_views AS
SELECT page, count(*) AS views, count(DISTINCT visitor) AS visitors, max(viewed_at) AS last_view
FROM bronze.page_views
GROUP BY page;

COMMENT ON MATERIALIZED VIEW gold.page_views IS 'Views and visitors by page';

EXECUTE UNIT TEST visitors_are_counted_once FOR gold.page_views
  MOCK bronze.page_views(page TEXT, visitor TEXT) AS (VALUES ('/', 'v1'), ('/', 'v1'), ('/', 'v2'))
  EXPECTED(page TEXT, views BIGINT, visitors BIGINT) AS (VALUES ('/', 3, 2));
