-- Page views of a visitor less than 30 minutes apart are one session.
CREATE MATERIALIZED VIEW gold.sessions (
  session_id TEXT NOT NULL,
  visitor_id TEXT NOT NULL,
  customer_id BIGINT,
  started_at TIMESTAMPTZ NOT NULL,
  ended_at TIMESTAMPTZ NOT NULL,
  event_count BIGINT NOT NULL,
  product_views BIGINT NOT NULL,
  added_to_cart BOOLEAN NOT NULL,
  purchased BOOLEAN NOT NULL,
  device_type TEXT,
  traffic_source TEXT,
  PRIMARY KEY (session_id)
)
AS WITH gaps AS (
  SELECT
    *,
    lag(event_time) OVER (PARTITION BY visitor_id ORDER BY event_time, event_id) AS event_before
  FROM silver.clickstream
),
numbered AS (
  SELECT
    *,
    sum(CASE WHEN event_time - event_before < INTERVAL '30 minutes' THEN 0 ELSE 1 END)
      OVER (PARTITION BY visitor_id ORDER BY event_time, event_id) AS session_number
  FROM gaps
)
SELECT
  visitor_id || '-' || CAST(session_number AS TEXT) AS session_id,
  visitor_id,
  max(customer_id) AS customer_id,
  min(event_time) AS started_at,
  max(event_time) AS ended_at,
  count(*) AS event_count,
  count(*) FILTER (WHERE event_type = 'product_view') AS product_views,
  bool_or(event_type = 'add_to_cart') AS added_to_cart,
  bool_or(event_type = 'purchase') AS purchased,
  min(device_type) AS device_type,
  min(traffic_source) AS traffic_source
FROM numbered
GROUP BY visitor_id, session_number;

COMMENT ON TABLE gold.sessions IS 'Visits to the shop: page views of a visitor less than 30 minutes apart';

EXECUTE UNIT TEST half_an_hour_ends_a_session FOR gold.sessions
  MOCK silver.clickstream(event_id TEXT, event_time TIMESTAMPTZ, event_type TEXT, visitor_id TEXT)
    AS (VALUES ('e1', '2025-01-01 10:00:00+00', 'page_view', 'v1'), ('e3', '2025-01-01 10:50:00+00', 'purchase', 'v1'))
  STEP MOCK silver.clickstream AS (VALUES ('e2', '2025-01-01 10:20:00+00', 'product_view', 'v1'))
  EXPECTED(session_id TEXT, event_count BIGINT, product_views BIGINT, purchased BOOLEAN)
    AS (VALUES ('v1-1', 2, 1, false), ('v1-2', 1, 0, true));
