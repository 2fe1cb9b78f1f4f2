CREATE MATERIALIZED VIEW gold.events_by_sender
AS SELECT sender, count(*) AS events, sum(seq) AS seq_total, sum(checksum) AS checksum_total
FROM silver.events GROUP BY sender;
