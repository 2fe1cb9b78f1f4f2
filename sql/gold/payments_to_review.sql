-- What the fraud desk looks at, worst first.
CREATE VIEW gold.payments_to_review AS
SELECT
  a.payment_id,
  a.severity,
  a.anomaly_points,
  a.amount,
  a.payment_method,
  a.paid_at,
  p.payment_status,
  p.ip_country,
  o.customer_id
FROM gold.ml_anomaly_detection a
JOIN silver.payments p ON p.payment_id = a.payment_id
LEFT JOIN silver.orders o ON o.order_id = a.order_id
WHERE a.severity IN ('CRITICAL', 'HIGH')
ORDER BY a.anomaly_points DESC, a.amount DESC, a.payment_id;

COMMENT ON VIEW gold.payments_to_review IS 'Payments of severity CRITICAL and HIGH, worst first';

EXECUTE UNIT TEST only_what_is_severe FOR gold.payments_to_review
  MOCK gold.ml_anomaly_detection(payment_id TEXT, order_id BIGINT, severity TEXT, anomaly_points INT)
    AS (VALUES ('p1', 1, 'CRITICAL', 5), ('p2', 2, 'LOW', 0), ('p3', 3, 'HIGH', 3))
  MOCK silver.payments(payment_id TEXT, payment_status TEXT) AS (VALUES ('p1', 'completed'), ('p2', 'completed'), ('p3', 'pending'))
  MOCK silver.orders(order_id BIGINT, customer_id BIGINT) AS (VALUES (1, 7))
  EXPECTED(payment_id TEXT, payment_status TEXT, customer_id BIGINT) AS (VALUES ('p1', 'completed', 7), ('p3', 'pending', NULL));
