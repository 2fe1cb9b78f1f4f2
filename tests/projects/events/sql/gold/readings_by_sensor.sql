CREATE MATERIALIZED VIEW gold.readings_by_sensor
AS SELECT sensor, count(*) AS readings, sum(value) AS total FROM bronze.readings GROUP BY sensor;
