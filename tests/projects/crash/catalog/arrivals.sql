CREATE SOURCE bronze.arrivals (sender STRING, seq BIGINT, checksum BIGINT)
WITH (connector = 'files', path = 'input/arrivals')
FORMAT PLAIN ENCODE JSON;
