-- What somebody should know of. Nobody is told yet: sluice.alerts and sluice.alert_instances show what fires. To have it
-- told, end an alert with THEN NOTIFY (WEBHOOK chat URL SECRET chat_url FORMAT slack), (EMAIL 'ops@example.com' CONNECTION post).
-- The figures are this shop's: change them as they fit.

-- The streams that never rest have been silent.
CREATE ALERT no_input SCHEDULE EVERY 1 MINUTE LABELS (severity = 'critical') BY (source)
IF (EXISTS (
  SELECT source, lag_seconds, last_event_at FROM sluice.sources
  WHERE source IN ('bronze.sales', 'bronze.streaming_clickstream') AND lag_seconds > 300
));

-- Events come, and are old when they do; or more wait at the broker than is soon taken.
CREATE ALERT ingest_lag SCHEDULE EVERY 1 MINUTE FOR INTERVAL '5' MINUTE LABELS (severity = 'warning') BY (source)
IF (EXISTS (
  SELECT source, lag_records, last_event_at FROM sluice.sources
  WHERE lag_records > 100000
     OR source IN ('bronze.sales', 'bronze.streaming_clickstream') AND rate > 0 AND last_event_at < now() - INTERVAL '15' MINUTE
));

-- A sender sends more, in rows a second, than was agreed on, or than can be taken: pushes were answered 429.
CREATE ALERT ingest_limit_exceeded SCHEDULE EVERY 1 MINUTE LABELS (severity = 'warning') BY (source)
IF (EXISTS (
  SELECT source, rate, pushes_limited FROM sluice.sources
  WHERE rate > 10000 OR last_limited_at > now() - INTERVAL '2' MINUTE
));

-- Models that trying again has not mended.
CREATE ALERT refresh_failing SCHEDULE EVERY 1 MINUTE KEEP FIRING FOR INTERVAL '5' MINUTE LABELS (severity = 'critical') BY (object)
IF (EXISTS (
  SELECT object, attempts, error FROM sluice.incidents WHERE state = 'open' AND kind IN ('refresh', 'rejected')
));

CREATE ALERT freshness_breached SCHEDULE EVERY 1 MINUTE LABELS (severity = 'warning') BY (table_name)
IF (EXISTS (SELECT table_name, state, lag_seconds FROM sluice.freshness WHERE state <> 'fresh' AND lag_seconds > 900));

-- More than a twentieth of an hour's rows is kept apart.
CREATE ALERT quarantine_rate SCHEDULE EVERY 1 MINUTE LABELS (severity = 'warning') BY (table_name)
IF (EXISTS (
  SELECT model AS table_name, sum(failed) AS kept_apart FROM sluice.expectations
  WHERE action = 'quarantine' AND at > now() - INTERVAL '1' HOUR
  GROUP BY model HAVING sum(failed) * 20 > sum(passed + failed)
));

CREATE ALERT storage_write_errors SCHEDULE EVERY 1 MINUTE KEEP FIRING FOR INTERVAL '5' MINUTE LABELS (severity = 'critical') BY (source)
IF (EXISTS (
  SELECT source, count(*) AS loads, max(error) AS error FROM sluice.ingest_log
  WHERE outcome = 'failed' AND batch IS NOT NULL AND started_at > now() - INTERVAL '10' MINUTE GROUP BY source
));

-- Somebody who is told of things cannot be reached.
CREATE ALERT target_away SCHEDULE EVERY 1 MINUTE LABELS (severity = 'warning') BY (object)
IF (EXISTS (SELECT object, attempts, error FROM sluice.incidents WHERE state = 'open' AND kind = 'notification'));

CREATE ALERT disk_full SCHEDULE EVERY 1 MINUTE LABELS (severity = 'critical') BY (place)
IF (EXISTS (SELECT place, free_percent, free_bytes FROM sluice.storage WHERE free_percent < 10));

-- Nothing of a product is left to sell.
CREATE ALERT stock_out LABELS (severity = 'warning') BY (warehouse, product_id)
IF (EXISTS (SELECT warehouse, product_id, product_name, quantity_available FROM gold.low_stock WHERE quantity_available <= 0));
