-- The outside world: what comes in, and from where. Each source fills the bronze table of its name; what is not declared
-- here stays in its column _raw.

-- CSV files with a header line, dropped into inbox/orders. Each is taken once.
CREATE SOURCE bronze.orders (
  order_id BIGINT NOT NULL,
  customer TEXT,
  product TEXT,
  quantity INT,
  price DECIMAL(10,2),
  ordered_at TIMESTAMPTZ
)
WITH (connector = 'files', path = 'inbox/orders')
FORMAT PLAIN ENCODE CSV;

-- JSON objects pushed to http://127.0.0.1:5435/ingest/page_views, one or many (a line each).
CREATE SOURCE bronze.page_views (
  page TEXT,
  visitor TEXT,
  viewed_at TIMESTAMPTZ
)
WITH (connector = 'http')
FORMAT PLAIN ENCODE JSON;

COMMENT ON SOURCE bronze.orders IS 'Orders as the shop exports them';
COMMENT ON SOURCE bronze.page_views IS 'Page views as the web site reports them';
