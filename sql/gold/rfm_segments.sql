-- How many customers each segment has, and what they have paid.
CREATE VIEW gold.rfm_segments AS
SELECT
  segment,
  count(*) AS customers,
  sum(monetary) AS monetary,
  round(avg(recency_days), 1) AS average_recency_days,
  round(avg(frequency), 1) AS average_frequency
FROM gold.ml_customer_rfm
GROUP BY segment
ORDER BY min(rfm_score) DESC;

COMMENT ON VIEW gold.rfm_segments IS 'RFM segments, best first';

EXECUTE UNIT TEST customers_are_counted FOR gold.rfm_segments
  MOCK gold.ml_customer_rfm(customer_id BIGINT, segment TEXT, monetary DECIMAL(18,2), recency_days INT, frequency BIGINT, rfm_score INT)
    AS (VALUES (1, 'Champions', 100.00, 1, 9, 15), (2, 'Champions', 50.00, 2, 8, 14), (3, 'At Risk', 5.00, 90, 1, 5))
  EXPECTED(segment TEXT, customers BIGINT, monetary DECIMAL(18,2)) AS (VALUES ('Champions', 2, 150.00), ('At Risk', 1, 5.00));
