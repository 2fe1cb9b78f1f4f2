-- A view on a view: sums that are its own state.
CREATE MATERIALIZED VIEW gold.cities
AS SELECT city, count(*) AS orders, sum(quantity) AS quantity, sum(price) AS revenue FROM gold.lines GROUP BY city;
