-- Page views of a month that is over.
CREATE OR REFRESH STREAMING TABLE silver.clickstream (
  event_id TEXT NOT NULL,
  event_time TIMESTAMPTZ NOT NULL,
  event_type TEXT,
  visitor_id TEXT NOT NULL,
  customer_id BIGINT,
  page TEXT,
  product_id BIGINT,
  device_type TEXT,
  browser TEXT,
  traffic_source TEXT,
  PRIMARY KEY (event_id),
  CONSTRAINT time_known EXPECT (event_time IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT visitor_known EXPECT (visitor_id IS NOT NULL) ON VIOLATION DROP ROW
)
AS SELECT
  event_id,
  event_time,
  lower(trim(event_type)) AS event_type,
  visitor_id,
  customer_id,
  page,
  product_id,
  lower(device['type']) AS device_type,
  device['browser'] AS browser,
  lower(traffic_source) AS traffic_source
FROM STREAM bronze.clickstream;

COMMENT ON TABLE silver.clickstream IS 'Page views of a month that is over';
COMMENT ON COLUMN silver.clickstream.visitor_id IS 'A browser, whoever sits before it';
COMMENT ON COLUMN silver.clickstream.customer_id IS 'Known only for visitors who are signed in';

EXECUTE UNIT TEST cleaned_or_left_out FOR silver.clickstream
  MOCK bronze.clickstream(event_id TEXT, event_time TIMESTAMPTZ, event_type TEXT, visitor_id TEXT, device STRUCT<type TEXT, browser TEXT>)
    AS (VALUES ('e1', '2025-01-01 10:00:00+00', ' Page_View ', 'v1', named_struct('type', 'MOBILE', 'browser', 'Firefox')),
               ('e2', NULL, 'page_view', 'v1', NULL),
               ('e3', '2025-01-01 10:01:00+00', 'page_view', NULL, NULL))
  EXPECTED(event_id TEXT, event_type TEXT, device_type TEXT, browser TEXT) AS (VALUES ('e1', 'page_view', 'mobile', 'Firefox'));
