-- Payments, flattened, with the signals of fraud that come with them.
CREATE OR REFRESH STREAMING TABLE silver.payments (
  payment_id TEXT NOT NULL,
  order_id BIGINT NOT NULL,
  payment_type TEXT,
  payment_method TEXT,
  amount DECIMAL(18,2) NOT NULL,
  currency TEXT,
  payment_status TEXT,
  paid_at TIMESTAMPTZ NOT NULL,
  risk_score INT,
  is_international BOOLEAN,
  ip_country TEXT,
  PRIMARY KEY (payment_id),
  CONSTRAINT order_known EXPECT (order_id IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT amount_known EXPECT (amount IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT time_known EXPECT (paid_at IS NOT NULL) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT score_possible EXPECT (risk_score BETWEEN 0 AND 100),
  CONSTRAINT charges_positive EXPECT (amount > 0 OR payment_type = 'refund')
)
AS SELECT
  payment_id,
  order_id,
  lower(trim(type)) AS payment_type,
  lower(trim(method)) AS payment_method,
  amount,
  upper(trim(currency)) AS currency,
  lower(trim(status)) AS payment_status,
  created_at AS paid_at,
  risk['score'] AS risk_score,
  coalesce(risk['international'], false) AS is_international,
  upper(trim(risk['ip_country'])) AS ip_country
FROM STREAM bronze.payments;

COMMENT ON TABLE silver.payments IS 'Charges and refunds of the payment gateway';
COMMENT ON COLUMN silver.payments.amount IS 'Negative for refunds';
COMMENT ON COLUMN silver.payments.payment_status IS 'completed, pending, failed or refunded';
COMMENT ON COLUMN silver.payments.risk_score IS 'The gateway''s own score, 0 to 100';

EXECUTE UNIT TEST risk_is_flattened FOR silver.payments
  MOCK bronze.payments(payment_id TEXT, order_id BIGINT, type TEXT, amount DECIMAL(18,2), created_at TIMESTAMPTZ,
                       risk STRUCT<score INT, international BOOLEAN, ip_country TEXT>)
    AS (VALUES ('p1', 1, 'Charge', 10.00, '2025-01-01 00:00:00+00', named_struct('score', 80, 'international', true, 'ip_country', 'de')),
               ('p2', 1, 'refund', -10.00, '2025-01-02 00:00:00+00', NULL),
               ('p3', 1, 'charge', NULL, '2025-01-02 00:00:00+00', NULL))
  EXPECTED(payment_id TEXT, payment_type TEXT, risk_score INT, is_international BOOLEAN, ip_country TEXT)
    AS (VALUES ('p1', 'charge', 80, true, 'DE'), ('p2', 'refund', NULL, false, NULL));
