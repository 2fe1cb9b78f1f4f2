CREATE VIEW sales.v AS SELECT id, amount FROM sales.orders WHERE ok;
