-- A row for every day of 2024 to 2026.
CREATE MATERIALIZED VIEW gold.dim_date (
  date_key INT NOT NULL,
  full_date DATE NOT NULL,
  year INT NOT NULL,
  quarter INT NOT NULL,
  month INT NOT NULL,
  month_name TEXT NOT NULL,
  week INT NOT NULL,
  day INT NOT NULL,
  day_of_week INT NOT NULL,
  day_name TEXT NOT NULL,
  is_weekend BOOLEAN NOT NULL,
  PRIMARY KEY (date_key)
)
AS WITH days AS (
  SELECT CAST(day AS DATE) AS full_date
  FROM generate_series(DATE '2024-01-01', DATE '2026-12-31', INTERVAL '1' DAY) AS series(day)
)
SELECT
  CAST(to_char(full_date, '%Y%m%d') AS INT) AS date_key,
  full_date,
  CAST(extract(year FROM full_date) AS INT) AS year,
  CAST(extract(quarter FROM full_date) AS INT) AS quarter,
  CAST(extract(month FROM full_date) AS INT) AS month,
  to_char(full_date, '%B') AS month_name,
  CAST(extract(week FROM full_date) AS INT) AS week,
  CAST(extract(day FROM full_date) AS INT) AS day,
  CAST(to_char(full_date, '%u') AS INT) AS day_of_week,
  to_char(full_date, '%A') AS day_name,
  to_char(full_date, '%u') IN ('6', '7') AS is_weekend
FROM days;

COMMENT ON TABLE gold.dim_date IS 'Calendar of 2024 to 2026, a row a day';
COMMENT ON COLUMN gold.dim_date.date_key IS 'The day as a number: 20250131';
COMMENT ON COLUMN gold.dim_date.week IS 'ISO week: the first one has the year''s first Thursday';
COMMENT ON COLUMN gold.dim_date.day_of_week IS '1 for Monday to 7 for Sunday';

EXECUTE UNIT TEST days_are_numbered FOR gold.dim_date
  -- 2024 begins with a Monday.
  EXPECTED(full_date DATE, date_key INT, day_of_week INT, is_weekend BOOLEAN)
    AS (SELECT day, CAST(replace(CAST(day AS TEXT), '-', '') AS INT), CAST(n % 7 + 1 AS INT), n % 7 >= 5
        FROM (SELECT n, DATE '2024-01-01' + CAST(n AS INT) AS day FROM generate_series(0, 1095) AS days(n)) AS numbered);
