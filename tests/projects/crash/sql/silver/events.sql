CREATE OR REFRESH STREAMING TABLE silver.events (
  CONSTRAINT seq_even EXPECT (seq % 2 = 0),
  CONSTRAINT seq_usual EXPECT (seq % 50 <> 0) ON VIOLATION QUARANTINE ROW
)
AS
SELECT sender, seq, checksum FROM STREAM bronze.pushes
UNION ALL
SELECT sender, seq, checksum FROM STREAM bronze.arrivals;
