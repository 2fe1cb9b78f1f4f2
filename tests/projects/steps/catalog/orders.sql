CREATE SOURCE bronze.orders (order_id BIGINT, customer_id BIGINT, quantity INT, price DECIMAL(10,2))
WITH (connector = 'http')
FORMAT PLAIN ENCODE JSON;
