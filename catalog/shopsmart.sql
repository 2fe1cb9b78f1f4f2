-- The outside world of ShopSmart, an e-commerce shop: nine streams and the bronze tables that keep them as they came.
--
-- Here a seeded generator plays the outside world, so that nothing has to be installed. To read the same streams from
-- a broker, change this file only. Declare the broker once (Azure Event Hubs shown; others need their own settings):
--     CREATE SECRET hub_login WITH (backend = 'env') AS 'HUB_CONNECTION_STRING';
--     CREATE CONNECTION hub TO KAFKA (bootstrap.servers = 'ns.servicebus.windows.net:9093', security.protocol = 'SASL_SSL',
--       sasl.mechanism = 'PLAIN', sasl.username = '$ConnectionString', sasl.password = SECRET hub_login);
-- and give each source, in place of its WITH (connector = 'datagen', ...):
--     WITH (connector = 'kafka', connection = hub, topic = 'orders', scan.startup.mode = 'earliest')
-- `sluice datagen shopsmart.orders --no-header` prints what to put into topic orders, a message a line.
-- Another seed gives another shop with other figures: `sluice datagen shopsmart --truth --seed 7` tells which.

-- Exports of the shop's PostgreSQL database. What people typed stays text here; silver makes types of it.
CREATE SOURCE bronze.orders (
  order_id BIGINT NOT NULL,
  customer_id BIGINT,
  order_date TEXT,
  order_status TEXT,
  channel TEXT,
  currency TEXT,
  shipping_amount DECIMAL(18,2),
  total_amount DECIMAL(18,2)
)
WITH (connector = 'datagen', generator = 'shopsmart.orders', seed = 42)
FORMAT PLAIN ENCODE CSV;

CREATE SOURCE bronze.order_items (
  order_item_id BIGINT NOT NULL,
  order_id BIGINT,
  line_number INT,
  product_id BIGINT,
  quantity INT,
  unit_price DECIMAL(18,2),
  discount_percent INT
)
WITH (connector = 'datagen', generator = 'shopsmart.order_items', seed = 42)
FORMAT PLAIN ENCODE CSV;

-- A REST API. Customers who were changed come again, with the time of it.
CREATE SOURCE bronze.customers (
  customer_id BIGINT NOT NULL,
  name STRUCT<first TEXT, last TEXT> TAG pii,
  contact STRUCT<email TEXT, phone TEXT> TAG pii,
  address STRUCT<street TEXT, city TEXT, state TEXT, postal_code TEXT, country TEXT>,
  preferences STRUCT<newsletter BOOLEAN, language TEXT>,
  created_at TIMESTAMPTZ,
  updated_at TIMESTAMPTZ
)
WITH (connector = 'datagen', generator = 'shopsmart.customers', seed = 42)
FORMAT PLAIN ENCODE JSON;

-- A document store. Its documents hold more (tags, for one): what is not declared stays in _raw.
CREATE SOURCE bronze.products (
  product_id BIGINT NOT NULL,
  sku TEXT,
  name TEXT,
  category STRUCT<main TEXT, sub TEXT>,
  pricing STRUCT<list DECIMAL(18,2), cost DECIMAL(18,2), currency TEXT>,
  attributes STRUCT<brand TEXT, weight_grams INT>,
  updated_at TIMESTAMPTZ
)
WITH (connector = 'datagen', generator = 'shopsmart.products', seed = 42)
FORMAT PLAIN ENCODE JSON;

-- The warehouses' daily snapshot.
CREATE SOURCE bronze.inventory (
  snapshot_date DATE,
  warehouse TEXT,
  product_id BIGINT,
  quantity_on_hand INT,
  quantity_reserved INT,
  reorder_point INT
)
WITH (connector = 'datagen', generator = 'shopsmart.inventory', seed = 42)
FORMAT PLAIN ENCODE CSV;

-- The payment gateway.
CREATE SOURCE bronze.payments (
  payment_id TEXT NOT NULL,
  order_id BIGINT,
  type TEXT,
  method TEXT,
  amount DECIMAL(18,2),
  currency TEXT,
  status TEXT,
  risk STRUCT<score INT, international BOOLEAN, ip_country TEXT>,
  created_at TIMESTAMPTZ
)
WITH (connector = 'datagen', generator = 'shopsmart.payments', seed = 42)
FORMAT PLAIN ENCODE JSON;

-- Page views: a month that is over, and those of this moment.
CREATE SOURCE bronze.clickstream (
  event_id TEXT NOT NULL,
  event_time TIMESTAMPTZ,
  event_type TEXT,
  visitor_id TEXT,
  customer_id BIGINT,
  page TEXT,
  product_id BIGINT,
  device STRUCT<type TEXT, browser TEXT>,
  traffic_source TEXT
)
WITH (connector = 'datagen', generator = 'shopsmart.clickstream', seed = 42)
FORMAT PLAIN ENCODE JSON;

CREATE SOURCE bronze.streaming_clickstream (
  event_id TEXT NOT NULL,
  event_time TIMESTAMPTZ,
  event_type TEXT,
  visitor_id TEXT,
  customer_id BIGINT,
  page TEXT,
  product_id BIGINT,
  device STRUCT<type TEXT, browser TEXT>,
  traffic_source TEXT,
  WATERMARK FOR event_time AS event_time - INTERVAL '10' MINUTE
)
WITH (connector = 'datagen', generator = 'shopsmart.streaming_clickstream', seed = 42, rows_per_second = 20)
FORMAT PLAIN ENCODE JSON;

-- Sales of twelve stores, as they happen.
CREATE SOURCE bronze.sales (
  sale_id TEXT NOT NULL,
  event_time TIMESTAMPTZ,
  store INT,
  product BIGINT,
  quantity INT,
  price DECIMAL(10,2),
  WATERMARK FOR event_time AS event_time - INTERVAL '10' MINUTE
)
WITH (connector = 'datagen', generator = 'shopsmart.sales', seed = 42, rows_per_second = 50)
FORMAT PLAIN ENCODE JSON;

COMMENT ON SOURCE bronze.orders IS 'Orders as exported from PostgreSQL';
COMMENT ON SOURCE bronze.order_items IS 'Order lines as exported from PostgreSQL';
COMMENT ON SOURCE bronze.customers IS 'Customers as the REST API gives them';
COMMENT ON SOURCE bronze.products IS 'Products as the document store holds them';
COMMENT ON SOURCE bronze.inventory IS 'Daily stock snapshots as the warehouses send them';
COMMENT ON SOURCE bronze.payments IS 'Payments as the gateway reports them';
COMMENT ON SOURCE bronze.clickstream IS 'Page views of a month that is over';
COMMENT ON SOURCE bronze.streaming_clickstream IS 'Page views as they happen';
COMMENT ON SOURCE bronze.sales IS 'Sales of all stores as they happen';
