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
