-- Grain: one order line. Lines of orders in quarantine come in when their order does.
CREATE MATERIALIZED VIEW gold.fact_sales (
  order_item_id BIGINT NOT NULL,
  order_id BIGINT NOT NULL,
  line_number INT,
  date_key INT NOT NULL,
  order_date DATE NOT NULL,
  customer_key BIGINT,
  customer_id BIGINT NOT NULL,
  product_id BIGINT NOT NULL,
  order_status TEXT NOT NULL,
  channel TEXT,
  quantity INT,
  unit_price DECIMAL(18,2),
  discount_percent INT,
  gross_amount DECIMAL(18,2),
  discount_amount DECIMAL(18,2),
  net_amount DECIMAL(18,2),
  cost_amount DECIMAL(18,2),
  margin_amount DECIMAL(18,2),
  PRIMARY KEY (order_item_id),
  FOREIGN KEY (date_key) REFERENCES gold.dim_date,
  FOREIGN KEY (customer_key) REFERENCES gold.dim_customer,
  FOREIGN KEY (product_id) REFERENCES gold.dim_product
)
AS SELECT
  i.order_item_id,
  i.order_id,
  i.line_number,
  CAST(to_char(o.order_date, '%Y%m%d') AS INT) AS date_key,
  o.order_date,
  c.customer_key,
  o.customer_id,
  i.product_id,
  o.order_status,
  o.channel,
  i.quantity,
  i.unit_price,
  i.discount_percent,
  i.gross_amount,
  i.gross_amount - i.net_amount AS discount_amount,
  i.net_amount,
  i.quantity * p.unit_cost AS cost_amount,
  i.net_amount - i.quantity * p.unit_cost AS margin_amount
FROM silver.order_items i
JOIN silver.orders o ON o.order_id = i.order_id
LEFT JOIN gold.dim_customer c ON c.customer_id = o.customer_id
  AND (c.valid_from IS NULL OR o.ordered_at >= c.valid_from) AND (c.valid_to IS NULL OR o.ordered_at < c.valid_to)
LEFT JOIN gold.dim_product p ON p.product_id = i.product_id;

COMMENT ON TABLE gold.fact_sales IS 'Sales, a row an order line';
COMMENT ON COLUMN gold.fact_sales.date_key IS 'To gold.dim_date';
COMMENT ON COLUMN gold.fact_sales.customer_key IS 'To gold.dim_customer: the customer as of the order';
COMMENT ON COLUMN gold.fact_sales.product_id IS 'To gold.dim_product';
COMMENT ON COLUMN gold.fact_sales.net_amount IS 'After discount, without shipping';
COMMENT ON COLUMN gold.fact_sales.margin_amount IS 'Net amount less what the goods cost';

EXECUTE UNIT TEST a_sale_goes_to_the_customer_of_its_day FOR gold.fact_sales
  MOCK silver.order_items(order_item_id BIGINT, order_id BIGINT, product_id BIGINT, quantity INT, unit_price DECIMAL(18,2),
                          gross_amount DECIMAL(18,2), net_amount DECIMAL(18,2))
    AS (VALUES (1, 10, 100, 2, 10.00, 20.00, 18.00), (2, 11, 100, 1, 10.00, 10.00, 10.00))
  MOCK silver.orders(order_id BIGINT, customer_id BIGINT, ordered_at TIMESTAMPTZ, order_date DATE, order_status TEXT)
    AS (VALUES (10, 1, '2025-01-15 12:00:00+00', '2025-01-15', 'shipped'))
  MOCK gold.dim_customer(customer_key BIGINT, customer_id BIGINT, valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ)
    AS (VALUES (111, 1, '2025-01-01 00:00:00+00', '2025-02-01 00:00:00+00'), (112, 1, '2025-02-01 00:00:00+00', NULL))
  MOCK gold.dim_product(product_id BIGINT, unit_cost DECIMAL(18,2)) AS (VALUES (100, 4.00))
  -- The order of line 2 comes later, when the customer has changed.
  STEP MOCK silver.orders AS (VALUES (11, 1, '2025-02-01 00:00:00+00', '2025-02-01', 'pending'))
  EXPECTED(order_item_id BIGINT, date_key INT, customer_key BIGINT, discount_amount DECIMAL(18,2), margin_amount DECIMAL(18,2))
    AS (VALUES (1, 20250115, 111, 2.00, 10.00), (2, 20250201, 112, 0.00, 6.00));
