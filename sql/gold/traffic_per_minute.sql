-- Who is in the shop, by minute.
CREATE VIEW gold.traffic_per_minute AS
SELECT
  date_trunc('minute', event_time) AS minute,
  count(*) AS events,
  count(DISTINCT visitor_id) AS visitors,
  count(*) FILTER (WHERE event_type = 'purchase') AS purchases
FROM silver.streaming_clickstream
GROUP BY date_trunc('minute', event_time);

COMMENT ON VIEW gold.traffic_per_minute IS 'Page views of this moment, by minute';

EXECUTE UNIT TEST visitors_are_counted_once FOR gold.traffic_per_minute
  MOCK silver.streaming_clickstream(event_time TIMESTAMPTZ, visitor_id TEXT, event_type TEXT)
    AS (VALUES ('2025-01-01 10:00:05+00', 'v1', 'page_view'), ('2025-01-01 10:00:59+00', 'v1', 'purchase'))
  EXPECTED(minute TIMESTAMPTZ, events BIGINT, visitors BIGINT, purchases BIGINT) AS (VALUES ('2025-01-01 10:00:00+00', 2, 1, 1));
