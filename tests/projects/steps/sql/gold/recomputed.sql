-- Computed whole each time.
CREATE MATERIALIZED VIEW gold.recomputed REFRESH POLICY FULL
AS SELECT city, max(price) AS dearest, count(DISTINCT customer_id) AS customers FROM gold.lines GROUP BY city;
