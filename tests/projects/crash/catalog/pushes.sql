CREATE SOURCE bronze.pushes (sender STRING, seq BIGINT, checksum BIGINT)
WITH (connector = 'http')
FORMAT PLAIN ENCODE JSON;
