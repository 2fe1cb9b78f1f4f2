-- Payments that stand out. Points: more than three standard deviations from the mean of the payment method (2), between
-- midnight and six (1), above the method's 95th percentile (1), a risk score of 80 and more (2), international (1).
CREATE MATERIALIZED VIEW gold.ml_anomaly_detection (
  payment_id TEXT NOT NULL,
  order_id BIGINT NOT NULL,
  payment_method TEXT NOT NULL,
  amount DECIMAL(18,2) NOT NULL,
  paid_at TIMESTAMPTZ NOT NULL,
  z_score DOUBLE,
  is_statistical_anomaly BOOLEAN NOT NULL,
  is_off_hours BOOLEAN NOT NULL,
  is_high_amount BOOLEAN NOT NULL,
  is_high_risk BOOLEAN NOT NULL,
  is_international BOOLEAN NOT NULL,
  anomaly_points INT NOT NULL,
  severity TEXT NOT NULL,
  PRIMARY KEY (payment_id)
)
AS WITH methods AS (
  -- Sums of decimals are exact: the result does not depend on the order in which rows are read.
  SELECT
    payment_method,
    CAST(count(*) AS DOUBLE) AS n,
    CAST(sum(amount) AS DOUBLE) AS total,
    CAST(sum(amount * amount) AS DOUBLE) AS total_of_squares,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY amount) AS percentile_95
  FROM silver.payments
  GROUP BY payment_method
),
spread AS (
  SELECT
    payment_method,
    total / n AS mean,
    sqrt((total_of_squares - total * total / n) / nullif(n - 1, 0)) AS deviation,
    percentile_95
  FROM methods
),
judged AS (
  SELECT
    p.payment_id,
    p.order_id,
    p.payment_method,
    p.amount,
    p.paid_at,
    round((CAST(p.amount AS DOUBLE) - s.mean) / nullif(s.deviation, 0), 6) AS z_score,
    extract(hour FROM p.paid_at) < 6 AS is_off_hours,
    CAST(p.amount AS DOUBLE) > s.percentile_95 AS is_high_amount,
    coalesce(p.risk_score >= 80, false) AS is_high_risk,
    p.is_international
  FROM silver.payments p
  JOIN spread s ON s.payment_method = p.payment_method
),
pointed AS (
  SELECT
    *,
    coalesce(abs(z_score) > 3, false) AS is_statistical_anomaly,
    CASE WHEN abs(z_score) > 3 THEN 2 ELSE 0 END
      + CASE WHEN is_off_hours THEN 1 ELSE 0 END
      + CASE WHEN is_high_amount THEN 1 ELSE 0 END
      + CASE WHEN is_high_risk THEN 2 ELSE 0 END
      + CASE WHEN is_international THEN 1 ELSE 0 END AS anomaly_points
  FROM judged
)
SELECT
  payment_id,
  order_id,
  payment_method,
  amount,
  paid_at,
  z_score,
  is_statistical_anomaly,
  is_off_hours,
  is_high_amount,
  is_high_risk,
  is_international,
  anomaly_points,
  CASE
    WHEN anomaly_points >= 5 THEN 'CRITICAL'
    WHEN anomaly_points >= 3 THEN 'HIGH'
    WHEN anomaly_points = 2 THEN 'MEDIUM'
    ELSE 'LOW'
  END AS severity
FROM pointed;

COMMENT ON TABLE gold.ml_anomaly_detection IS 'Payments with what is suspicious about them, a row a payment';
COMMENT ON COLUMN gold.ml_anomaly_detection.z_score IS 'Standard deviations from the mean of the payment method';
COMMENT ON COLUMN gold.ml_anomaly_detection.severity IS '5 points and more CRITICAL, 3-4 HIGH, 2 MEDIUM, else LOW';

EXECUTE UNIT TEST points_make_the_severity FOR gold.ml_anomaly_detection
  MOCK silver.payments(payment_id TEXT, order_id BIGINT, payment_method TEXT, amount DECIMAL(18,2), paid_at TIMESTAMPTZ, risk_score INT,
                       is_international BOOLEAN)
    AS (VALUES ('p1', 1, 'card', 10.00, '2025-01-01 12:00:00+00', 10, false), ('p2', 2, 'card', 10.00, '2025-01-01 03:00:00+00', 90, false))
  STEP MOCK silver.payments AS (VALUES ('p3', 3, 'card', 99.00, '2025-01-01 03:00:00+00', 90, true))
  EXPECTED(payment_id TEXT, is_off_hours BOOLEAN, is_high_amount BOOLEAN, is_high_risk BOOLEAN, anomaly_points INT, severity TEXT)
    AS (VALUES ('p1', false, false, false, 0, 'LOW'), ('p2', true, false, true, 3, 'HIGH'), ('p3', true, true, true, 5, 'CRITICAL'));
