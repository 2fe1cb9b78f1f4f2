CREATE SOURCE bronze.sales (
  sale_id STRING NOT NULL,
  event_time TIMESTAMPTZ,
  store INT,
  product INT,
  quantity INT,
  price DECIMAL(10,2)
)
WITH (connector = 'datagen', generator = 'shopsmart.sales', seed = 7, rows_per_second = 1000)
FORMAT PLAIN ENCODE JSON;
