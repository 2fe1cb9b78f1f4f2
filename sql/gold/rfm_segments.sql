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
