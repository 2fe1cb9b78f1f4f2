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
