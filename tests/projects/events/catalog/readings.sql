CREATE SOURCE bronze.readings (sensor STRING, value DOUBLE)
WITH (connector = 'http')
FORMAT PLAIN ENCODE JSON;
