select |/ 25.0, ||/ 8.0, @ -5, 'abc' ^@ 'ab', -2 ^ 2, 2 ^ 3 ^ 2
select date '2026-01-01' + interval '1 hour', date '2026-01-01' - interval '1 day', interval '1 month' + date '2026-01-31'
select timestamp '2026-03-01' - timestamp '2026-02-01 12:00', (timestamp '2026-03-01' - timestamp '2026-02-01 12:00')::text
select timestamp '2026-03-01' - timestamp '2026-02-01' > interval '1 day', interval '1 day' = interval '24 hours', interval '30 hours' > interval '1 day', interval '1 month' > interval '29 days'
select count(*) from silver.orders where now() - ordered_at > interval '7 days'
select max(ordered_at) - min(ordered_at) from silver.orders
select extract(hour from timestamp '2026-03-01' - timestamp '2026-02-01 12:00'), extract(day from timestamp '2026-03-01' - timestamp '2026-02-01 12:00')
select (timestamp '2026-03-01' - timestamp '2026-02-01 12:00') * 2
select to_char(timestamp '2026-03-01' - timestamp '2026-02-01 12:00', 'DD HH24:MI')
select order_id from silver.orders where order_date >= date '2026-01-08' - interval '6 days' order by 1
select order_id from silver.orders where ordered_at > '2026-01-01 18:10' order by 1
select order_id from silver.orders where ordered_at between '2026-01-01 09:01' and 'Jan 2 2026' order by 1
select order_id from silver.orders where order_date = '1/2/2026' and ordered_at < '20260102T120000' order by 1
select date 'Jan 5 2026', date '20260105', timestamp '2026-01-05 10:00 PM', timestamptz '2026-01-05 10:00 Europe/Berlin', timestamptz '05-Jan-2026 10:00:00 PST'
select date 'today' = current_date, date 'tomorrow' - date 'yesterday', timestamp 'epoch', 'now'::timestamptz is not null
select age(timestamp '2026-03-01', timestamp '2025-01-15'), age(timestamp '2026-01-01', timestamp '2026-02-15 10:00'), age(timestamp '2024-02-29', timestamp '2023-02-28'), age(timestamp '2026-05-31 12:00', timestamp '2026-04-30 13:00')
select extract(century from date '2026-01-01'), extract(decade from date '2026-01-01'), extract(millennium from date '2026-01-01'), extract(milliseconds from time '10:00:01.5'), extract(julian from date '2026-01-01')
select date_trunc('decade', timestamp '2026-01-01'), date_trunc('century', timestamp '2026-01-01'), date_trunc('milliseconds', timestamp '2026-01-01 00:00:00.1234')
select date_trunc('day', timestamptz '2026-03-04 05:06:07+00', 'America/New_York')
select date_trunc('month', order_date), date_trunc('month', ordered_at) from silver.orders order by order_id limit 1
select * from generate_series(3, 1, -1)
select * from generate_series(1, 3) with ordinality as t(a, b)
select generate_series(1, 2), 'a' || generate_series(1, 2)
select * from generate_series(date '2026-01-01', '2026-01-03', '1 day')
select * from generate_series('2026-01-01'::timestamp, '2026-01-02', '12 hours')
select x from (values (1), (1), (2)) t(x) order by x fetch first 1 rows with ties
select x as y from (values (3), (1), (1), (2)) t(x) order by y offset 1 rows fetch first 2 rows with ties
select 3 = any(select 3), 3 <> all(select 1), 1 < any(select null::int), 1 < all(select 1 where false), 1 < any(select 1 where false)
select x, x = any(select 1) a, x <> all(select 1) b, x > any(select 1) c, x <= all(select 1) d from (values (1), (2), (null)) t(x) order by 1
select 1 = any(array[1, 2]), 1 = any('{1,2}'), -5 % 3, mod(-5, 3)
select 'a' like any(array['a%', 'b']), 'a' not like any('{a%,b}'), 'a' ilike any('{A}')
select (1, 2) = (1, 2), (1, 2) < (1, 3), row(1, 2) >= row(1, 3), (1, 2) <> (1, null)
select order_id from silver.orders where (order_id, status) in ((1, 'paid'), (2, 'open')) order by 1
select (select 1 where false), (select order_id from silver.orders where order_id = 99), (select count(*) from silver.orders)
select '{"a":1}'::jsonb @> '{"a":1}', '{"a":1}'::jsonb <@ '{"a":1,"b":2}', '{"a":1}'::jsonb ? 'a', '{"a":1}'::jsonb ?| array['a','b'], '{"a":1}'::jsonb ?& array['a','b']
select '{"a":1}'::jsonb || '{"b":2}', '{"a":1,"b":2}'::jsonb - 'a', '[1,2]'::jsonb - 0, '{"a":{"b":1}}'::jsonb #- '{a,b}', '{"a":1,"b":2}'::jsonb - array['a','b']
select '{"b":1,"a":2,"a":3}'::jsonb, '{"b":1, "a":2}'::json, '{"a":1}'::jsonb = '{"a": 1}'::jsonb, '{"a":{"c":1}}'::jsonb -> 'a', '{"a":"x"}'::json -> 'a', '{"a":{"b":[1]}}'::jsonb #> '{a,b}'
select amount * 2, amount + 1, -amount, amount::int, amount::float8, amount from silver.orders order by 1 limit 2
select amount::numeric(10,1), amount::numeric, status::varchar(2), status::char(6), order_id::numeric, '12.50'::numeric from silver.orders order by order_id limit 1
select sum(amount), min(amount), max(amount), count(*) from silver.orders
select trunc(-1.7), 1e15::float8, 1.5e3, 1e-7::float8, 0.1::float8 + 0.2::float8
select 1.005::float8::numeric(10,2), 0.285::float8::numeric(10,2), (-2.675)::float8::numeric(10,2), 0.1::real::numeric(10,2)
select localtimestamp is not null, localtime is not null, current_role, clock_timestamp() is not null
set datestyle to 'German'
select date '2026-03-04', timestamp '2026-03-04 05:06:07.5', timestamptz '2026-07-04 05:06:07.5+00', array[date '2026-03-04'], (date '2026-03-04')::text, 'on ' || timestamp '2026-03-04 05:06'
set datestyle to 'SQL, DMY'
select date '04/03/2026', timestamp '4/3/2026 05:06:07.5', timestamptz '2026-03-04 05:06:07.5+00'
set datestyle to 'Postgres, MDY'
set timezone to 'Europe/Berlin'
select date '2026-03-04', timestamp '2026-03-04 05:06:07.5', timestamptz '2026-07-04 05:06:07.5+00', order_date, ordered_at from silver.orders order by order_id limit 1
select (timestamptz '2026-01-01 20:00:00+00')::timestamp, (timestamptz '2026-01-01 23:30:00+00')::date
show datestyle
set datestyle to 'Swiss'
reset datestyle
reset timezone
set intervalstyle to 'iso_8601'
select interval '1 year 2 days 03:04:05', interval '-3 days -04:05:06.7', interval '0'
set intervalstyle to 'sql_standard'
select interval '1 year 2 days 03:04:05', interval '14 months', interval '3 days 4 hours'
set intervalstyle to 'postgres_verbose'
select interval '1 year 2 days 03:04:05', interval '-3 days', interval '0'
reset intervalstyle
set bytea_output to 'escape'
select '\x6100ff5c'::bytea
reset bytea_output
set extra_float_digits to 0
select 0.1::float8 + 0.2::float8, 1.0::float8 / 3
reset extra_float_digits
select nothing from silver.orders
select order_id from silver.orders order by nothing
select order_id from silver.orders group by nothing
select upper(1)
select 'abc'::int
select 1, 1 + 'abc'
select order_id in ('a') from silver.orders
select order_date > 'foo' from silver.orders
select order_date > '2026-13-45' from silver.orders
select coalesce(1, 'a')
select array[1, 'a']
select 'maybe'::bool
select timestamp 'foo'
select interval '1 foo'
select status + 1 from silver.orders
select order_id || 1 from silver.orders
select * from silver.orders where status
select * from silver.orders where not order_id
select count(*) from silver.orders where count(*) > 1
select cast(true as date)
select '1'::nosuchtype
select x from generate_series(1, 5) x limit -1
select x from generate_series(1, 5) x offset -1
select sqrt(-1)
select power(0, -1)
select foo(1, 'a')
select foo(null)
select "Foo"(1)
select foo(tags) from silver.customers
select foo(*)
select foo(interval '1 day', time '10:00', true, 'a'::varchar(3), '{}'::jsonb, '{}'::json)
select lower()
select lower(true)
select sqrt(1,2)
select abs(date '2026-01-01')
select substr(1, 2)
select sum('a'::text)
select avg(order_date) from silver.orders
select count(1, 2)
select sum()
select string_agg(order_id, ',') from silver.orders
select array_agg()
select lag() over () from silver.orders
select date_trunc('day', 'a'::text)
select extract(day from 1)
select date_part('day', 1)
select to_char('a'::text, 'b')
select upper(order_date) from silver.orders
select length(1.5)
select left(1, 2)
select replace('a', 'b')
select concat_ws()
select position(1 in 'a')
select generate_series('a'::text, 'b'::text)
select * from foo(1, 'a') as t
select 1 + true
select 'a'::text + 'b'::text
select 1 = 'a'::text
select true > 1
select date '2026-01-01' + date '2026-01-01'
select timestamp '2026-01-01' + 1
select interval '1 day' * interval '1 day'
select 1 / interval '1 day'
select 1 || true
select 1 like 'a'
select order_id like '1%' from silver.orders
select status ~ 1 from silver.orders
select array[1] = 1
select 1 = any(array['a'::text])
select 1 in (true)
select order_date > 1 from silver.orders
select order_date = status from silver.orders
select '{}'::json = '{}'::json
select 1 -> 'a'
select 1 & 1.5
select 1.5 & 2
select * from silver.orders where order_id = status
select 2 ^ 'a'::text
select * from silver.orders order by foo(status)
select 1 where foo(1)
select 1 where 'a'::text
select date '2026-01-01'::int
select 1::date
select 1::timestamp
select 1::bigint::bool
select true::bigint
select time '10:00'::date
select timestamp '2026-01-01'::int
select timestamp '2026-01-01'::interval
select date '2026-01-01'::time
select '1'::json::int
select 1::bytea
select 'a'::bytea::int
select order_date::bigint from silver.orders
select tags::int from silver.customers
select cast(order_date as integer) from silver.orders
select 1::time
select 1.5::float8::date
select 1::json
select date '2026-01-01'::json
select 1.5::oid
select ln(0)
select ln(-1)
select ln(0::float8)
select ln(-1::float8)
select log(0)
select log(-1)
select log(0::float8)
select log(2, 0)
select log(0, 2)
select log(1, 2)
select log10(0)
select log10(-1::float8)
select exp(1000)
select exp(1000::float8)
select exp(-1000::float8)
select power(-1, 0.5)
select power(-1::float8, 0.5)
select power(10, 400)
select power(10::float8, 400)
select 10::float8 ^ 400
select factorial(5)
select factorial(-1)
select factorial(20)
select factorial(25)
select acos(2)
select asin(2)
select acosh(0.5)
select atanh(2)
select degrees(1e308::float8 * 10)
select 1e308::float8 * 10
select 1e308::float8 + 1e308::float8
select -1e308::float8 - 1e308::float8
select 1e38::real * 10::real
select 1e20::numeric::bigint
select abs((-2147483648)::int)
select -(-2147483648)::int
select gcd(12, 18), lcm(4, 6)
select gcd(-9223372036854775808, 0)
select lcm(9223372036854775807, 2)
select avg(amount) from silver.orders
select avg(x) from (values (1), (2), (2)) t(x)
select avg(x) from (values (10), (20), (20)) t(x)
select avg(amount) over (order by order_id) from silver.orders order by order_id
select avg(amount)::numeric(10,2), round(avg(amount), 2), avg(amount) * 2, avg(amount) / 3 from silver.orders
select round(2.5), round(-2.5), round(1.005, 2), round(1234.5, -2), round(2.5::float8), round(3.5::float8)
select to_char(12345.678, '9.99EEEE')
select round(0.5::real)
select date_trunc('hour', interval '1 day 02:03:04.5')
select date_trunc('day', interval '1 year 2 months 3 days 02:03:04.5')
select date_trunc('month', interval '1 year 2 months 3 days')
select date_trunc('quarter', interval '1 year 5 months 3 days')
select date_trunc('year', interval '1 year 2 months')
select date_trunc('decade', interval '25 years'), date_trunc('century', interval '125 years'), date_trunc('millennium', interval '2125 years')
select date_trunc('minute', interval '02:03:04.5'), date_trunc('second', interval '02:03:04.5'), date_trunc('milliseconds', interval '00:00:04.56789'), date_trunc('microseconds', interval '00:00:04.567891')
select date_trunc('foo', interval '1 day')
select date_trunc('foo', timestamp '2026-01-01')
select date_trunc('hour', interval '-1 day -02:03')
select date_trunc('hour', ordered_at - timestamptz '2026-01-01') from silver.orders order by order_id
select extract(minute from interval '01:02:03.5'), extract(second from interval '01:02:03.5'), extract(milliseconds from interval '01:02:03.5'), extract(microseconds from interval '01:02:03.5')
select extract(epoch from interval '1 day 01:00'), extract(epoch from interval '1 month'), extract(epoch from interval '1 year'), extract(epoch from interval '1 year 2 months 3 days 4.5 seconds')
select extract(quarter from interval '5 months'), extract(decade from interval '25 years'), extract(century from interval '125 years'), extract(millennium from interval '2125 years')
select extract(week from interval '1 day')
select extract(dow from interval '1 day')
select extract(doy from interval '1 day')
select extract(foo from interval '1 day')
select extract(foo from timestamp '2026-01-01')
select date_part('century', timestamp '2026-01-01'), date_part('decade', date '2026-01-01'), date_part('milliseconds', time '10:00:01.5'), date_part('julian', date '2026-01-01')
select date_part('isodow', timestamp '2026-01-04'), date_part('foo', timestamp '2026-01-01')
select extract(day from time '10:20:30')
select date_trunc('day', timestamp '2026-03-04 05:06:07', 'Europe/Berlin')
select date_trunc('day', date '2026-03-04', 'Europe/Berlin')
select date_trunc('day', timestamptz '2026-03-04 05:06:07+00', 'Nowhere/City')
select date_trunc('days', timestamptz '2026-03-04 05:06:07+00', 'Europe/Berlin')
select to_char(12345.678, '9.99EEEE'), to_char(0.000123, '9.99EEEE'), to_char(-12345, '9.9EEEE'), to_char(0, '9.99EEEE'), to_char(1e10::float8, '9.999EEEE')
select to_char(12345.678::float8, '9.99eeee'), to_char(99999, '9.9EEEE'), to_char(1, '9EEEE'), to_char(123, '99.9EEEE')
select to_char(12.45, '99V9'), to_char(12.45, '99V99'), to_char(12, '99V999'), to_char(-1.5, '9V9'), to_char(12.4, '99V')
select to_char(1.5, '9EEEE9')
select to_char(1, 'EEEE')
select to_char(12345::bigint, '9.99EEEE'), to_char(1.5::real, '9.99EEEE')
select to_char('NaN'::float8, '9.99EEEE'), to_char('infinity'::float8, '9.99EEEE')
select to_char(1.234e-100::float8, '9.99EEEE'), to_char(1e100::float8, '9.99EEEE')
select to_number('1.2e3', '9.9EEEE')
select time '10:20:30.123456'::time(2), time(0) '10:20:30.5', cast('10:20:30.987' as time(1))
select timestamp '2026-01-01 10:20:30.123456'::timestamp(2), timestamp(0) '2026-01-01 10:20:30.5', timestamptz '2026-01-01 10:20:30.987+00'::timestamptz(1)
select '2026-01-01 10:20:30.123456'::timestamp(3), cast('2026-01-01 10:20:30.123456' as timestamp(0) with time zone), ordered_at::timestamp(0) from silver.orders limit 1
select timestamp '2026-12-31 23:59:59.9'::timestamp(0), time '23:59:59.9'::time(0)
select time(7) '10:00'
select '10:00'::time(9)
select timestamp(7) '2026-01-01'
select * from json_each('{"a":1,"b":"x","c":null,"d":[1, 2]}')
select * from jsonb_each('{"a":1,"b":"x","c":null,"d":[1, 2]}')
select * from json_each_text('{"a":1,"b":"x","c":null,"d":[1, 2]}')
select * from jsonb_each_text('{"a":1,"b":"x","c":null,"d":[1, 2]}')
select key, value from jsonb_each('{"a":1,"b":"x"}') where key = 'a'
select k, v from jsonb_each('{"a":1,"b":"x"}') as t(k, v)
select t.key, t.value from jsonb_each('{"a":1,"b":"x"}') as t
select * from json_array_elements('[1, "a", null, {"b":2}]')
select * from jsonb_array_elements('[1, "a", null, {"b":2}]')
select * from json_array_elements_text('[1, "a", null, {"b":2}]')
select * from jsonb_array_elements_text('[1, "a", null, {"b":2}]')
select value from jsonb_array_elements('[1, 2]')
select x from jsonb_array_elements('[1, 2]') x
select x.value from jsonb_array_elements('[1, 2]') x
select * from jsonb_array_elements('[1, 2]') with ordinality
select * from jsonb_array_elements('[1, 2]') with ordinality as t(a, n)
select * from jsonb_object_keys('{"b":1,"a":2}')
select * from json_object_keys('{"b":1,"a":2}')
select jsonb_object_keys('{"b":1,"a":2}')
select jsonb_array_elements('[1, 2]')
select jsonb_array_elements('[1, 2]')::text::int + 1
select json_array_elements('[1, 2]'), 'x'
select jsonb_array_elements_text('["a", "b"]') as e order by e desc
select count(*) from jsonb_array_elements('[1,2,3]')
select sum(value::int) from jsonb_array_elements_text('[1,2,3]')
select * from jsonb_each('[1]')
select * from jsonb_each('1')
select * from json_each('[1]')
select * from json_each('1')
select * from json_each_text('[1]')
select * from jsonb_array_elements('{"a":1}')
select * from jsonb_array_elements('1')
select * from json_array_elements('{"a":1}')
select * from json_array_elements('1')
select * from json_array_elements_text('{"a":1}')
select * from jsonb_array_elements_text('{"a":1}')
select * from jsonb_object_keys('[1]')
select * from json_object_keys('[1]')
select * from jsonb_object_keys('1')
select jsonb_object_keys('1')
select * from jsonb_each(null)
select * from jsonb_each(1)
select jsonb_array_length('{}')
select json_array_length('1')
with a as (select 1), a as (select 2) select * from a
prepare p (int) as select $1
execute p('a')
execute p(1, 2)
execute p(7)
deallocate p
release savepoint x
rollback to x
start transaction isolation level serializable
show transaction_isolation
commit and chain
show transaction_isolation
rollback
rollback and chain
-- constants of conditions, which kept plans have as parameters
SELECT order_id FROM silver.orders WHERE status = 'paid' AND order_date >= '2026-01-01' ORDER BY 1
SELECT order_id FROM silver.orders WHERE status = 'open' AND order_date >= '2026-01-02' ORDER BY 1
SELECT order_id FROM silver.orders WHERE status = E'open' AND order_date >= '01/02/2026' ORDER BY 1
SELECT order_id FROM silver.orders WHERE status = 'it''s' OR order_date = '2026-13-01' ORDER BY 1
SELECT order_id FROM silver.orders WHERE status IN ('paid', 'shut') AND order_date NOT IN ('2026-01-01') ORDER BY 1
SELECT order_id FROM silver.orders WHERE status NOT IN ('paid', NULL) ORDER BY 1
SELECT order_id FROM silver.orders WHERE status BETWEEN 'o' AND 'p' ORDER BY 1
SELECT order_id FROM silver.orders o WHERE o.customer_id IN ('10', '11') AND o.amount > '7' ORDER BY 1
SELECT order_id FROM silver.orders WHERE customer_id = 'x'
SELECT order_id FROM silver.orders WHERE customer_id IN (10, 99999999999) AND amount > 7 ORDER BY 1
SELECT order_id FROM silver.orders WHERE ordered_at < '2026-01-01 09:30:00' ORDER BY 1
SELECT order_id FROM silver.orders WHERE ordered_at < timestamp '2026-01-01 09:30:00' ORDER BY 1
SELECT order_id FROM silver.orders WHERE order_date BETWEEN date '2026-01-01' + 1::int AND '2026-01-09'::date ORDER BY 1
SELECT order_id FROM silver.orders WHERE date '2026-01-02' - order_date = 1 ORDER BY 1
SELECT order_id FROM silver.orders WHERE order_date > date '2026-02-30'
SELECT order_id, 'a' AS x FROM silver.orders WHERE 'paid' <> status AND 'a' = 'a' ORDER BY x, 1
SELECT name FROM silver.customers WHERE joined > '2020-01-01' AND zip < 'z'
SELECT o.order_id FROM silver.orders o JOIN (SELECT customer_id FROM silver.customers WHERE city = 'Paris') c ON c.customer_id = o.customer_id WHERE o.status <> 'x' ORDER BY 1
SELECT relname FROM pg_catalog.pg_class WHERE relkind = 'i' AND relname = 'nothing' AND oid > '5'
-- what the engine calls by one name
SELECT sum(order_id), avg(order_id), sum(order_id::int), sum(order_id::float8), avg(order_id::int) FROM silver.orders
SELECT order_date, order_date::text, count(*) FROM silver.orders GROUP BY 1, 2 ORDER BY 1
SELECT order_date, order_date::text, count(*) FROM silver.orders GROUP BY order_date, order_date::text ORDER BY order_date::text DESC
SELECT order_date::text AS d, order_date, count(*), count(1) FROM silver.orders GROUP BY order_date::text, order_date HAVING count(1) > 0 AND count(*) > 0 ORDER BY 1
SELECT date_trunc('day', ordered_at) AS a, date_trunc('day', ordered_at::date) AS b, count(*) FROM silver.orders GROUP BY 1, 2 ORDER BY 1
SELECT sum(order_id) OVER () AS a, sum(order_id::int) OVER () AS b, sum(order_id::float8) OVER () AS c FROM silver.orders ORDER BY 1
SELECT count(*), count(1), count(2) FROM silver.orders
SELECT max('a'), max('a'::text)
SELECT count(order_id) FROM silver.orders ORDER BY sum(order_id::int), sum(order_id)
-- arrays beside literals, empty ones, and rows without items
SELECT name FROM silver.customers WHERE tags = '{}' ORDER BY 1
SELECT tags @> '{vip}', tags && '{new,vip}', '{vip}' <@ tags FROM silver.customers ORDER BY 1
SELECT ARRAY[1,2] = '{1,2}', ARRAY[1,2] <> '{1,NULL}'
SELECT name, array_length(tags, 1), cardinality(tags) FROM silver.customers ORDER BY 1
SELECT name FROM silver.customers WHERE array_length(tags, 1) IS NULL ORDER BY 1
SELECT array_remove(ARRAY[1,2,1], 1), array_replace(ARRAY[1,2,1], 1, 3), array_append(ARRAY[1], 2)
SELECT lower(c.name), t.tag FROM silver.customers c LEFT JOIN LATERAL unnest(c.tags) AS t(tag) ON true ORDER BY 1, 2
SELECT c.customer_id + 1, t FROM silver.customers c LEFT JOIN unnest(c.tags) AS t ON true ORDER BY 1, 2
SELECT current_schema = current_schema(), ~order_id, ~order_id::int FROM silver.orders ORDER BY 2 LIMIT 1
-- periods, and letters by their numbers
SELECT (date '2026-01-01', date '2026-02-01') OVERLAPS (date '2026-01-15', date '2026-03-01')
SELECT (date '2026-02-01', date '2026-01-01') OVERLAPS (date '2026-02-01', date '2026-03-01'), (date '2026-01-01', date '2026-01-01') OVERLAPS (date '2026-01-01', date '2026-01-01')
SELECT (timestamp '2026-01-01', interval '1 day') OVERLAPS (timestamp '2026-01-01 12:00', interval '1 hour')
SELECT order_id FROM silver.orders WHERE (ordered_at, interval '1 hour') OVERLAPS (timestamptz '2026-01-01 09:30+00', timestamptz '2026-01-01 12:00+00') ORDER BY 1
SELECT U&'d\0061t\+000061', length(U&'\00E4')
