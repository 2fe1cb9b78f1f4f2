-- Recency, frequency and money of every customer with an order, each scored 1 to 5 by quintile (ties go by
-- customer_id), and the segment that the sum of the scores makes. Recency counts from the newest order, never from
-- today, so that the figures hold.
CREATE MATERIALIZED VIEW gold.ml_customer_rfm (
  customer_id BIGINT NOT NULL,
  recency_days INT NOT NULL,
  frequency BIGINT NOT NULL,
  monetary DECIMAL(18,2) NOT NULL,
  r_score INT NOT NULL,
  f_score INT NOT NULL,
  m_score INT NOT NULL,
  rfm_score INT NOT NULL,
  segment TEXT NOT NULL,
  PRIMARY KEY (customer_id)
)
AS WITH newest AS (
  SELECT max(order_date) AS order_date FROM silver.orders
),
orders AS (
  SELECT customer_id, max(order_date) AS last_order_date, count(*) AS frequency
  FROM silver.orders
  GROUP BY customer_id
),
paid AS (
  SELECT o.customer_id, sum(p.amount) AS monetary
  FROM silver.payments p
  JOIN silver.orders o ON o.order_id = p.order_id
  WHERE p.payment_status = 'completed'
  GROUP BY o.customer_id
),
behaviour AS (
  SELECT
    o.customer_id,
    n.order_date - o.last_order_date AS recency_days,
    o.frequency,
    coalesce(p.monetary, 0) AS monetary
  FROM orders o
  CROSS JOIN newest n
  LEFT JOIN paid p ON p.customer_id = o.customer_id
),
scored AS (
  SELECT
    *,
    ntile(5) OVER (ORDER BY recency_days DESC, customer_id) AS r_score,
    ntile(5) OVER (ORDER BY frequency, customer_id) AS f_score,
    ntile(5) OVER (ORDER BY monetary, customer_id) AS m_score
  FROM behaviour
)
SELECT
  customer_id,
  recency_days,
  frequency,
  monetary,
  r_score,
  f_score,
  m_score,
  r_score + f_score + m_score AS rfm_score,
  CASE
    WHEN r_score + f_score + m_score >= 13 THEN 'Champions'
    WHEN r_score + f_score + m_score >= 10 THEN 'Loyal Customers'
    WHEN r_score + f_score + m_score >= 7 THEN 'Potential Loyalists'
    WHEN r_score + f_score + m_score >= 5 THEN 'At Risk'
    ELSE 'Hibernating'
  END AS segment
FROM scored;

COMMENT ON TABLE gold.ml_customer_rfm IS 'Customers with orders by recency, frequency and money, and their segment';
COMMENT ON COLUMN gold.ml_customer_rfm.recency_days IS 'Days from the last order to the newest order of anyone';
COMMENT ON COLUMN gold.ml_customer_rfm.monetary IS 'Completed payments for orders that are kept';
COMMENT ON COLUMN gold.ml_customer_rfm.segment IS '13-15 Champions, 10-12 Loyal Customers, 7-9 Potential Loyalists, 5-6 At Risk, 3-4 Hibernating';

EXECUTE UNIT TEST who_came_lately_and_paid_leads FOR gold.ml_customer_rfm
  MOCK silver.orders(order_id BIGINT, customer_id BIGINT, order_date DATE)
    AS (VALUES (1, 1, '2025-01-01'), (2, 2, '2025-01-11'), (3, 2, '2025-01-11'))
  MOCK silver.payments(payment_id TEXT, order_id BIGINT, amount DECIMAL(18,2), payment_status TEXT)
    AS (VALUES ('p1', 2, 50.00, 'completed'), ('p2', 1, 90.00, 'failed'))
  EXPECTED(customer_id BIGINT, recency_days INT, frequency BIGINT, monetary DECIMAL(18,2), rfm_score INT)
    AS (VALUES (1, 10, 1, 0.00, 3), (2, 0, 2, 50.00, 6));
