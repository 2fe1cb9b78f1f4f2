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
select mode() within group (order by amount), percentile_disc(0.9) within group (order by amount desc) from silver.orders
select order_date, percentile_disc(0.5) within group (order by order_id), mode() within group (order by customer_id) from silver.orders group by order_date order by 1
select percentile_disc(1.5) within group (order by order_id) from silver.orders
select percentile_disc(null) within group (order by order_id) from silver.orders
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
-- JSON of values that are JSON
select jsonb_agg(jsonb_build_object('id', order_id)) from (select order_id from silver.orders order by 1 limit 2) x
select json_agg(json_build_object('id', order_id) order by order_id desc) from silver.orders
select json_agg(o order by order_id) from silver.orders o where order_id < 3
select jsonb_agg(x.j) from (select jsonb_build_array(1, 'a') as j) x
select json_agg(x.j order by x.n) from (select '{"a" :  1}'::json as j, 1 as n union all select null, 2) x
select json_agg(tags order by name) from silver.customers
select json_agg(distinct status) from silver.orders where status = 'paid'
select json_agg(order_id) filter (where order_id > 5) from silver.orders
select json_agg(order_id) from silver.orders where false
select json_build_object('a', json_build_object('b', json_build_array(1, jsonb_build_object('c', null))))
select jsonb_build_object('a', '{"b":1}'::jsonb, 'c', '[1]'::json, 'd', '{"x":2}'::jsonb -> 'x', 'e', '{"x":"y"}'::jsonb ->> 'x')
select row_to_json(x) from (select 1 as a, '{"b":1}'::jsonb as j, 'z' as t) x
select row_to_json(x) from (select order_id, jsonb_build_object('s', status) as j from silver.orders where order_id = 1) x
select json_build_array('{"a":1}'::jsonb, json_agg(order_id)) from (select order_id from silver.orders where order_id < 3 order by 1) x
select json_build_object('n', x.n, 'orders', x.l) from (select count(*) as n, json_agg(order_id) as l from silver.orders where order_id = 1) x
select json_build_object('l', (select json_agg(order_id) from silver.orders where order_id = 1))
select coalesce(json_agg(order_id), '[]'::json) from silver.orders where false
select coalesce(jsonb_agg(order_id), '[]') from silver.orders where false
select case when true then '{"a":1}'::jsonb end, json_build_object('a', case when true then '{"a":1}'::jsonb end)
select json_object_agg(order_id, status) from (select order_id, status from silver.orders order by 1 limit 2) x
select jsonb_object_agg(order_id, status) from (select order_id, status from silver.orders order by 1 limit 2) x
select json_object_agg(status, amount order by order_id) from silver.orders
select jsonb_object_agg(status, jsonb_build_object('a', 1)) from silver.orders
select json_object_agg('a', null)
select json_object_agg(null, 1)
select jsonb_object_agg(null, 1)
select json_object_agg('a', 1) from silver.orders where false
select json_object_agg(k, v) from (values ('b', 1), ('a', 2)) t(k, v)
select json_object_agg('x', row_to_json(o)) from silver.orders o where order_id = 1
select jsonb_object_agg(1)
select jsonb_set('{"a":1}', '{a}', '2'), jsonb_set('{"a":[1,2]}', '{a,0}', '"x"'), jsonb_set('{"a":1}', '{b}', '2'), jsonb_set('{"a":1}', '{b}', '2', false)
select jsonb_set('{"a":{"b":1}}', '{a,b}', 'null'), jsonb_set('[1,2,3]', '{-1}', '9'), jsonb_set('[1,2]', '{5}', '9'), jsonb_set('[1,2]', '{-5}', '9'), jsonb_set('{"a":1}', '{x,y}', '1')
select jsonb_set('{"a":1}', array['a'], to_jsonb('x'::text)), jsonb_set(null, '{a}', '1'), jsonb_set('{"a":1}', '{}', '2')
select jsonb_set('1', '{a}', '2')
select jsonb_set('[1]', '{a}', '2')
select jsonb_insert('{"a":[1,2]}', '{a,1}', '9'), jsonb_insert('{"a":[1,2]}', '{a,1}', '9', true)
select jsonb_pretty('{"a":1,"b":[1,{"c":null}],"d":{},"e":[]}')
select jsonb_strip_nulls('{"a":null,"b":{"c":null,"d":[null]}}'), json_strip_nulls('{"a": null, "b" : 1}')
select '"x"'::jsonb #>> '{}', '{"a":{"b":1}}'::jsonb #>> '{}', '{"a":{"b":1}}'::jsonb #> '{}', '[1,2]'::jsonb #>> array['0']
select '{"a":"b"}'::json -> 'a', '{"a":"b"}'::json ->> 'a', '{"a":{"b":2}}'::json -> 'a' -> 'b'
select * from json_to_recordset('[{"a":1,"b":"x"}]') as t(a int, b text)
select * from jsonb_to_recordset('[{"a":1,"b":"x"},{"a":2}]') as t(a int, b text, c jsonb)
select * from json_to_record('{"a":1,"b":"x","c":[1]}') as t(a int, b text, c json)
select t.a + 1 as n from jsonb_to_record('{"a":1}') as t(a int)
select jsonb_array_length(jsonb_agg(order_id)) from silver.orders
select jsonb_agg(order_id) -> 0 from silver.orders
select json_agg(order_id)::text from silver.orders where order_id = 1
select json_object('{a,1,b,2}'), json_object('{a,b}', '{1,2}'), jsonb_object('{a,1}')
select array_to_json(array[1,2]), array_to_json(tags) from silver.customers where name = 'Ada'
select json_extract_path('{"a":{"b":1}}', 'a', 'b'), jsonb_extract_path_text('{"a":{"b":"x"}}', 'a', 'b')
select jsonb_build_object('a', 1) || '{"b":2}', jsonb_build_object('a', 1) = '{"a":1}'::jsonb
select '{"a":'::json
select '{"a":'::jsonb
select '{a}'::json
select 'x'::json
select ''::json
select '[1,]'::json
select '{"a" 1}'::json
select '[1 2]'::json
select '{"a":1} x'::json
select 'tru'::json
select '"abc'::json
select '"\x"'::json
select '01'::json
select '1.'::json
select c.name, x.a from (values ('n', '{"a": 7}'::jsonb)) c(name, j), jsonb_to_record(c.j) as x(a int)
select c.name, x.a from (values ('n', '[{"a": 7}, {"a": 8}]'::jsonb)) c(name, j), jsonb_to_recordset(c.j) as x(a int)
select json_agg('x'::text), jsonb_agg(1.5), json_agg(date '2026-01-01')
select to_jsonb('{"a":1}'::json), to_json('{"a": 1}'::jsonb), to_jsonb('x'::text), to_json(1), to_jsonb(null::int), to_json(true), to_json(array[1,2])
select to_json(x.j) from (select case when true then '{"a": 1}'::json end as j) x
select to_json(x.j) from (select coalesce(null, '{"a": 1}'::json) as j) x
select jsonb_agg(distinct x order by x) from (values (10), (9), (10)) t(x)
select j, j -> 'a' from (values ('{"a": 7}'::jsonb)) c(j)
select jsonb_agg(to_jsonb(o) order by order_id) from silver.orders o where order_id < 3
select '{"a": 1.50, "b": 1e2, "c": 12345678901234567890.123, "d": -0.0}'::jsonb, to_jsonb(20.00), jsonb_build_array(1.50, -2)
select jsonb_build_object('amount', amount) -> 'amount' from silver.orders order by order_id
select '{"b":1,"a":2,"b":{"c":[1, "ä\u00e9", null]}}'::jsonb
-- where columns come from, and functions
SELECT status FROM silver.orders EXCEPT SELECT 'paid' ORDER BY 1
SELECT status FROM silver.orders INTERSECT SELECT 'paid'
select status from silver.orders intersect select status from silver.orders order by 1
select order_date::date, status::text, order_id::bigint, customer_id::int, amount::numeric(18,2), amount::numeric, status::varchar, ordered_at::timestamptz from silver.orders order by order_id limit 1
SELECT customer_id, status, max(amount) FROM silver.orders GROUP BY GROUPING SETS ((customer_id), (status), ()) ORDER BY 1, 2
SELECT status, grouping(status), sum(amount) FROM silver.orders GROUP BY CUBE (status) ORDER BY 1
SELECT status, customer_id, sum(amount) FROM silver.orders GROUP BY ROLLUP (status, customer_id) ORDER BY 1, 2
select status as s, count(*) from silver.orders group by rollup (status) having grouping(status) = 0 order by 1
select date(ordered_at), date(timestamp '2026-01-01 10:00'), date('2026-01-01') from silver.orders order by order_id limit 1
select substring('abc' from '[b-c]+'), substring('foobar' from 'o(.)b'), substring('foobar' from 'x'), substring('foobar', 'o+'), substring('abc' from 2), substring('abc' from 2 for 1)
select substring(status from '^.') from silver.orders order by order_id
select pg_size_pretty(123456::bigint), pg_size_pretty(1.5e9), pg_size_pretty(1.5), pg_size_pretty(null::numeric)
select num_nulls(1, null), num_nonnulls(1, null, 'x'), num_nulls(null)
select isfinite(date '2026-01-01'), isfinite(ordered_at), isfinite(interval '1 day') from silver.orders limit 1
select isfinite(1)
-- errors with their SQLSTATE, message and position
SELECT order_id FROM silver.orders ORDER BY 5
SELECT order_id FROM silver.orders ORDER BY order_id, 5
SELECT order_id FROM silver.orders GROUP BY 5
SELECT DISTINCT status FROM silver.orders ORDER BY amount
SELECT status FROM silver.orders HAVING amount > 1
SELECT status FROM silver.orders GROUP BY status HAVING amount > 1
SELECT 1 FROM silver.orders HAVING true
SELECT 1 AS x HAVING 1 = 2
SELECT count(*) FROM silver.orders HAVING count(*) > 1
SELECT max(count(*)) FROM silver.orders
SELECT 1, sum(1 + max(amount)) FROM silver.orders
SELECT sum(amount) OVER () FROM silver.orders WHERE row_number() OVER () = 1
SELECT 1 FROM silver.orders WHERE 3 < sum(amount) OVER (ORDER BY order_id)
SELECT row_number() FROM silver.orders
SELECT order_id, rank() FROM silver.orders
SELECT lag(amount) FROM silver.orders
SELECT order_id FROM silver.orders o, silver.orders o
SELECT 1 FROM silver.orders, silver.orders
SELECT 1 FROM silver.orders o JOIN silver.customers o ON true
SELECT a FROM (SELECT 1 AS a, 2 AS a) x
SELECT x.a FROM (SELECT 1 AS a, 2 AS a) x
SELECT * FROM (SELECT 1 AS a, 2 AS a) x
SELECT b FROM (SELECT 1 AS a, 2 AS a, 3 AS b) x
SELECT 1 FROM (SELECT 1 AS a, 2 AS a) x WHERE a = 1
WITH x AS (SELECT 1 AS a, 2 AS a) SELECT a FROM x
SELECT status, status FROM silver.orders ORDER BY status LIMIT 1
SELECT status, status FROM silver.orders GROUP BY status ORDER BY 1
SELECT 1 IN (SELECT 1, 2)
SELECT 1 WHERE 1 IN (SELECT 1, 2)
SELECT (SELECT 1, 2)
SELECT 1 WHERE 1 = (SELECT 1, 2)
SELECT CASE WHEN 1 THEN 2 END
SELECT 1, 2 UNION SELECT 1
SELECT 1, 2 UNION ALL SELECT 1
SELECT 1, 2 INTERSECT SELECT 1
SELECT 'unterminated
SELECT "unterminated
SELECT E'unterminated
SELECT 1 /* x
SELECT chr(0)
SELECT chr(-1)
SELECT chr(65), chr(8364), chr(null)
SELECT chr(1114112)
SELECT substring('abc' FROM 1 FOR -1)
SELECT substr('abc', 1, -1)
SELECT '25:00'::time
SELECT '25:00:00'::time, 1
SELECT 'x:y'::time
SELECT '10:61'::time
SELECT to_date('2026-13-01', 'YYYY-MM-DD')
SELECT to_date('2026-02-30', 'YYYY-MM-DD')
SELECT to_timestamp('2026-13-01', 'YYYY-MM-DD')
SELECT 12345678.12::numeric(5,2)
SELECT -12345678.12::numeric(5,2)
SELECT 12::numeric(1,0)
SELECT 12.5::numeric(2,2)
SELECT '123456'::numeric(5,2)
SELECT amount::numeric(3,2) FROM silver.orders
SELECT '{1,2'::int[]
SELECT 'x'::int[]
SELECT '{1}x'::int[]
SELECT '1e400'::float8
SELECT '1e400'::float8, 'infinity'::float8
SELECT '-1e400'::float8
SELECT '1e40'::real
SELECT 'inf'::float8, '-Infinity'::real
SELECT nosuch.f(1)
SELECT silver.nosuch(1)
SELECT width_bucket(5.0, 0, 10, 5), width_bucket(5.0, 10, 0, 5), width_bucket(-1, 0, 10, 5), width_bucket(11, 0, 10, 5), width_bucket(0.35::float8, 0, 0.7, 2)
SELECT width_bucket(5.0, 0, 10, 0)
SELECT width_bucket(5.0, 10, 10, 1)
SELECT div(7, 2), div(-7, 2), div(7.5, 2), div(1::bigint, 3)
SELECT div(7, 0)
SELECT factorial(5), sign(-3), mod(7, -3)
SELECT lag(amount) OVER (ORDER BY order_id), rank() OVER () FROM silver.orders ORDER BY order_id LIMIT 1
SELECT order_id FROM silver.orders WHERE (order_id, status) IN (SELECT 1, 'paid')
SELECT (1, 2) IN (SELECT 1, 2), 1 IN (SELECT 1), 1 NOT IN (SELECT 2)
SELECT status FROM silver.orders GROUP BY status HAVING status > 'a' ORDER BY 1
SELECT sum(amount) FROM silver.orders HAVING min(status) = 'x'
SELECT x.b FROM (SELECT o.status, o.status, 1 AS b FROM silver.orders o) x LIMIT 1
SELECT count(*) FROM (SELECT status, status FROM silver.orders) x
SELECT coalesce(status, 'x') FROM silver.orders ORDER BY 1 LIMIT 1
select 1.23456789012345::float, float '2.5', array[1.5]::float[]
select extract(day from date '2026-01-03') / 2, extract(year from date '2026-01-03') + 1, date_part('day', date '2026-01-03') / 2
select timestamp '2026-01-01' + '1 day', timestamp '2026-01-05' - '2026-01-01', date '2026-01-05' - '2025-12-31', interval '1 day' + '2 days'
select ceiling(1.2), ceiling(-0.5::float8)
set timezone to 'Europe/Berlin'
select max(ordered_at)::date, date_trunc('day', max(ordered_at)), max(ordered_at)::time, extract(hour from max(ordered_at)), date_part('day', max(ordered_at)) from silver.orders
select order_id, ordered_at::date, date_trunc('month', ordered_at) from silver.orders order by 1
select ordered_at::date as day, count(*) from silver.orders group by 1 order by 1
select order_id from silver.orders where ordered_at::date = '2026-01-02' order by 1
select order_id from silver.orders where ordered_at > date '2026-01-02' order by 1
select order_id from silver.orders where ordered_at between date '2026-01-02' and timestamp '2026-01-02 12:00' order by 1
select min(ordered_at) - timestamp '2026-01-01', to_char(max(ordered_at), 'YYYY-MM-DD HH24:MI') from silver.orders
select age(timestamptz '2026-03-01 00:30+00', timestamptz '2026-02-01 00:00+00')
reset timezone
select pg_total_relation_size('silver.orders') > 0, pg_table_size('silver.orders'::regclass) > 0
select o.order_id from silver.orders o join silver.customers c using (customer_id) where customer_id = 10 order by 1
select customer_id, name from silver.orders left join silver.customers using (customer_id) where customer_id > 10 and order_id > 1 order by order_id
select k, x, y from (values (1, 'a')) a(k, x) full join (values (2, 'b')) b(k, y) using (k) order by 1
select k + 1, y from (values (1, 'a')) a(k, x) right join (values (2, 'b')) b(k, y) using (k) where k = 2
select min(status) as m from silver.orders having (COUNT(1) > 0)
select SUM(order_id), sum(order_id::int) from silver.orders
prepare coalesced as select coalesce($1, 5), nullif($2, 'a'), greatest($3, 1.5)
prepare chosen as select case when $1 then 1 else $2 end, case $3 when 'a' then $4 else 2.5 end, not $5
prepare gathered as select array[$1, 2], $2 || 'a'
prepare united as select $1 union select 1 order by 1
prepare united_after as select date '2026-01-01' union all select $1
prepare called as select round($1, 2), abs($2), left('abc', $3), date_trunc($4, timestamp '2026-01-01'), lower($5)
select name, parameter_types::text from pg_prepared_statements order by 1
execute coalesced(null, 'b', 2.5)
execute chosen(true, 7, 'a', 1.5, false)
execute gathered(1, 'b')
execute gathered(2, 'c')
execute united(2)
execute called(1.255, -2, 1, 'month', 'A')
deallocate all
-- what clients ask of settings and functions
select name, setting, unit, vartype, min_val, max_val, enumvals, boot_val, reset_val from pg_settings where name in ('statement_timeout', 'bytea_output', 'extra_float_digits', 'client_min_messages', 'array_nulls', 'lock_timeout') order by 1
select proname, prokind, proretset, pg_get_function_arguments(oid), pg_get_function_identity_arguments(oid), pg_get_function_result(oid) from pg_proc where proname in ('lower', 'make_interval', 'json_each', 'count', 'row_number', 'now', 'jsonb_set') order by oid
select 'now'::regproc, 1299::regproc, 870::regproc
select array[[1,2],[3,4]]::int[], array[[1,2],[3,4]]::bigint[]
select n.nspname, c.relname, a.attnum, a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname in ('pg_catalog', 'information_schema') and a.attnum > 0 and c.relkind in ('r', 'v') order by n.nspname, c.relname collate "C", a.attnum
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = 'pg_catalog'::regnamespace and a.attnum > 0 and c.relkind in ('r', 'v') and a.attname <> 'stxdexpr' order by c.relname collate "C", a.attnum
-- what Power BI asks of visuals
select * from "silver"."orders" "$Table" order by 1 limit 1000
select "_"."status", "_"."a0", "_"."a1" from ( select "rows"."status" as "status", sum("rows"."amount") as "a0", sum("rows"."customer_id") as "a1" from ( select "_"."order_id", "_"."status", "_"."amount", "_"."customer_id", "_"."order_date" from "silver"."orders" "_" where (("_"."order_id" in (1, 2, 3, 6, 7)) and "_"."order_date" < date '2026-01-03') and "_"."order_date" >= date '2026-01-01' ) "rows" group by "status" ) "_" where not "_"."a0" is null or not "_"."a1" is null order by 1 limit 1000001
select "_"."name_lower", "_"."a0" from ( select "rows"."name_lower" as "name_lower", sum("rows"."customer_id") as "a0" from ( select "_"."customer_id" as "customer_id", "_"."name" as "name", lower("_"."name") as "name_lower" from ( select "_"."customer_id", "_"."name" from ( select "customer_id", "name" from "silver"."customers" "$Table" ) "_" where "_"."name" in ('Ada', 'Çelik') ) "_" ) "rows" group by "name_lower" ) "_" where not "_"."a0" is null order by 1 limit 1000001
select "rows"."status" as "status", count(distinct("rows"."customer_id")) + max( case when "rows"."customer_id" is null then 1 else 0 end ) as "a0" from "silver"."orders" "rows" group by "status" order by 1 limit 1000001
select max("rows"."ordered_at") as "a0", min("rows"."ordered_at") as "a1" from ( select "ordered_at" from "silver"."orders" "$Table" ) "rows"
select "rows"."name" as "name", sum("rows"."customer_id") as "a0" from ( select "_"."customer_id", "_"."name" from "silver"."customers" "_" where strpos((case when "_"."name" is not null then "_"."name" else '' end), 'a') > 0 ) "rows" group by "name" order by 1 limit 1000001
select "_"."semijoin1.c30" as "c30", "_"."a0" as "a0" from ( select "rows"."semijoin1.c30" as "semijoin1.c30", sum(cast("rows"."basetable0.a0" as numeric)) as "a0" from ( select "$Outer"."basetable0.a0", "$Inner"."semijoin1.c30" from ( select "customer_id" as "basetable0.c22", "amount" as "basetable0.a0" from "silver"."orders" as "$Table" ) as "$Outer" join ( select "rows"."name" as "semijoin1.c30", "rows"."customer_id" as "semijoin1.c22" from ( select "name", "customer_id" from "silver"."customers" as "$Table" ) as "rows" group by "name", "customer_id" ) as "$Inner" on ("$Outer"."basetable0.c22" = "$Inner"."semijoin1.c22" or "$Outer"."basetable0.c22" is null and "$Inner"."semijoin1.c22" is null) ) as "rows" group by "semijoin1.c30" ) as "_" where not "_"."a0" is null order by 1 limit 1000001
select "_"."order_date" as "c2", "_"."ordered_at" as "c3" from ( select "_"."order_date" as "order_date", "_"."ordered_at" as "ordered_at", case when "_"."o0" is not null then "_"."o0" else timestamp '1899-12-28 00:00:00' end as "t0_0", case when "_"."o0" is null then 0 else 1 end as "t1_0" from ( select "rows"."order_date" as "order_date", "rows"."ordered_at" as "ordered_at", "rows"."o0" as "o0" from ( select "order_date", "ordered_at", "order_date" as "o0" from "silver"."orders" "$Table" ) "rows" group by "order_date", "ordered_at", "o0" ) "_" ) "_" order by "_"."t0_0", "_"."t1_0", 2 limit 501
select encode(sha256('a'), 'hex'), encode(sha256('a'::bytea), 'base64'), trunc(2.567, 1), trunc(-2.567, 2), trunc(2.567, 5), trunc(12.5, 0), ntile(2) over (order by 1)
select ntile(2) over (order by order_id), order_id from silver.orders order by 2
select x from generate_series(1,5) t(x) order by 1 fetch first (1+1) rows only
select count(*) from generate_series(1,5) t(x) group by ()
select x from generate_series(1,3) t(x) order by x using >
select percentile_cont(array[0.25,0.5]) within group (order by x) from generate_series(1,5) t(x)
select percentile_disc(array[0.25,0.5]) within group (order by x) from generate_series(1,5) t(x)
select avg(x) from (values (interval '1 day'),(interval '2 days 3 hours')) t(x)
select current_time is not null
select localtime is not null
select sum(b-a) from (values (timestamp '2020-01-01', timestamp '2020-01-03 10:00'),(timestamp '2020-01-01', timestamp '2020-01-04 09:35')) t(a,b)
select sum(x) over (order by x groups between 1 preceding and current row) from generate_series(1,5) t(x)
select 10 % 3, -7 % 3, mod(-7,3), div(-7,3), 7.5 % 2
select lpad('a', 5, 'xy'), rpad('abc', 2), ltrim('xxabc','x'), btrim('xabcx','x')
select string_agg(x::text, ',' order by x desc) from generate_series(1,3) t(x)
select array_agg(x order by x desc) filter (where x > 1) from generate_series(1,3) t(x)
select mode() within group (order by x) from (values (1),(2),(2)) t(x)
select bool_and(x), bool_or(x), every(x) from (values (true),(false)) t(x)
select bit_and(x), bit_or(x), bit_xor(x) from (values (1),(3)) t(x)
select json_agg(x), jsonb_agg(x), json_object_agg(x, x) from generate_series(1,2) t(x)
select x, grouping(x), count(*) from generate_series(1,2) t(x) group by rollup(x) order by 1
select regexp_matches('foobarbequebaz', '(bar)(beque)')
select regexp_match('foobarbequebaz', '(bar)(beque)')
select regexp_split_to_array('a b  c', '\s+')
select regexp_split_to_table('a b  c', '\s+')
select regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g')
select regexp_count('abcabc','b'), regexp_instr('abcabc','c'), regexp_substr('abcabc','b.'), regexp_like('abc','B','i')
select overlay('Txxxxas' placing 'hom' from 2 for 4), position('b' in 'abc'), strpos('abc','c')
select split_part('a,b,c', ',', -1), translate('12345','143','ax'), initcap('hi THOMAS'), reverse('abc')
select to_number('12,454.8-', '99G999D9S'), to_date('05 Dec 2000','DD Mon YYYY'), to_timestamp('05 Dec 2000','DD Mon YYYY')
select make_date(2020,1,2), make_time(1,2,3.5), make_timestamp(2020,1,2,3,4,5.5), make_interval(days=>10), make_timestamptz(2020,1,2,3,4,5)
select justify_days('35 days'), justify_hours('27 hours'), justify_interval('1 mon -1 hour')
select date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')
select extract(epoch from interval '1 day 2 hours'), extract(isodow from date '2020-02-02'), extract(julian from date '2020-02-02')
select date '2020-01-01' + interval '1 month', date '2020-01-31' - date '2020-01-01', timestamp '2020-01-01' - timestamp '2019-01-01'
select (date '2020-01-01', date '2020-02-01') overlaps (date '2020-01-15', date '2020-03-01')
select array[1,2,3] @> array[2], array[1,2] && array[2,3], array[1,2] || 3, array_position(array['a','b'],'b'), array_remove(array[1,2,1],1), array_replace(array[1,2],2,3), cardinality(array[1,2]), array_to_string(array[1,null,2],',','*'), string_to_array('a,b',','), unnest(array[1,2])
select (array[1,2,3])[2:3], array_dims(array[[1,2],[3,4]]), array_ndims(array[[1]]), array_length(array[1,2],1), array_upper(array[1,2],1)
select '{"a":{"b":1}}'::jsonb #> '{a,b}', '{"a":1}'::jsonb ? 'a', '{"a":1}'::jsonb || '{"b":2}', '{"a":1,"b":2}'::jsonb - 'a', jsonb_set('{"a":1}','{a}','2'), jsonb_pretty('{"a":1}'), jsonb_typeof('1'), jsonb_array_length('[1,2]')
select * from jsonb_each('{"a":1,"b":"x"}')
select * from jsonb_to_record('{"a":1,"b":"x"}') as t(a int, b text)
select * from jsonb_array_elements_text('["a","b"]') with ordinality
select jsonb_build_object('a',1,'b',array[1,2]), json_build_array(1,'x',null), to_jsonb(row(1,'a')), row_to_json(t) from (select 1 as x) t
select greatest(1,null,3), least(2,1), nullif(1,1), coalesce(null,2), num_nulls(1,null), num_nonnulls(1,null)
select md5('a'), sha256('a'), encode('abc','base64'), decode('YWJj','base64'), crc32('a')
select to_hex(255), chr(65), ascii('A'), repeat('ab',3), quote_literal('a''b'), quote_ident('A b'), quote_nullable(null), starts_with('abc','ab'), 'abc' ^@ 'ab'
select 'a' collate "C" < 'B' collate "C"
select x from (values ('a'),('B'),('c')) t(x) order by x collate "C"
values (1,'a'),(2,'b') order by 1 desc limit 1
select distinct on (x) x, y from (values (1,2),(1,1)) t(x,y) order by x, y
with recursive t(n) as (values (1) union all select n+1 from t where n < 5) select sum(n) from t
select t.*, t is null from (values (1,null)) t(a,b)
select x from generate_series(timestamp '2020-01-01', '2020-01-03', '1 day') t(x)
select lag(x,1,0) over w, first_value(x) over w, nth_value(x,2) over w, ntile(2) over w, cume_dist() over w, percent_rank() over w from generate_series(1,3) t(x) window w as (order by x)
select 1 as "select", 2 "b c", 3 as value
select 'a' || 1 || null, 'abc' like 'a_c', 'abc' similar to '(a|b)%', 'abc' ~ '^a', 'ABC' ilike 'a%', 'abc' !~* 'B'
select cast('1,2' as int)
select to_char(interval '27 hours 5 min','HH24:MI'), to_char(1234.5,'FM9,999.00'), to_char(-5,'999MI'), to_char(485,'RN'), to_char(date '2020-02-03','Day, DDth Month YYYY "Q"Q IW')
select sum(x) from (values (interval '1 day'),(interval '2 days 3 hours')) t(x)
select min(x), max(x) from (values (interval '1 day'),(interval '2 days 3 hours')) t(x)
select sum(x) over (order by x) from (values (interval '1 day'),(interval '2 days 3 hours')) t(x)
select avg(b-a) from (values (timestamp '2020-01-01', timestamp '2020-01-03 10:00'),(timestamp '2020-01-01', timestamp '2020-01-04 09:35')) t(a,b)
select interval '1 mon 3 days' / 2, interval '1 day' * 1.5
select timestamp '9999-12-31'
select '9999-12-31'::timestamp
select '9999-12-31 23:59:59'::timestamptz
select cast('9999-12-31' as date)::timestamp
select coalesce(null::timestamp, '9999-12-31'::timestamp)
select x from (values (timestamp '2020-01-01')) t(x) where x < '9999-12-31'
select to_timestamp('9999-12-31','YYYY-MM-DD')
select timestamp '9999-12-31' - timestamp '2020-01-01'
select timestamp '0001-01-01'
select 1 where timestamp '2020-01-03' - timestamp '2020-01-01' > interval '36 hours'
select 1 where timestamp '2020-01-03' - timestamp '2020-01-01' > interval '36 hours' is not null
select 1 where timestamp '2020-01-03' - timestamp '2020-01-01' > '36 hours'
select interval '25 hours' > interval '1 day'
select interval '1 month' > interval '30 days'
select interval '1 month' = interval '30 days'
select age(timestamp '2020-03-01', timestamp '2020-01-01') > '45 days'
select x from (values (interval '25 hours'),(interval '1 day'),(interval '1 mon'),(interval '31 days')) t(x) order by x
begin
select 1/0
commit
select * from (select x, -x y from generate_series(1,10) x order by y) q
select y from (select x, -x y from generate_series(1,10) x order by y) q where x > 3
select string_agg(x::text, ',') from (select x from (values (2),(3),(1)) t(x) order by x) q
select array_agg(x) from (select x from generate_series(1,10) t(x) order by -x) q
with q as (select x, -x y from generate_series(1,10) x order by y) select * from q limit 3
select row_number() over (), x from (select x from generate_series(1,5) t(x) order by -x) q
SELECT a,b FROM (SELECT null::int, null::int[]) t(a,b)
select split_part('a,b',',',0)
select * from generate_series(1,3,0)
VALUES (date '2020-01-01'),('2020-01-02')
select * from (VALUES (timestamp '2020-01-01', 1),('2020-01-02', 2)) t(a,b)
select g, count(*) from generate_series(1,2) g group by grouping sets (1, ()) order by 1
select count(*) from generate_series(1,2) g group by ()
select interval '1 month - 1 second'
select interval '-1 days +1 hours'
select '@ 1 minute'::interval
select interval '1-2'
select interval '1 2:30'
select '1.5 weeks'::interval
select ('{"a":[1,2]}'::jsonb)['a']
select ('{"a":[1,2]}'::jsonb)['a'][1]
select j['a'] from (values ('{"a":5}'::jsonb)) t(j)
select x from generate_series(1,5) x where x in (select 1 union select 2) or x in (select 4) order by 1
select x from generate_series(1,5) x where x in (select 1 union select 2) order by 1
select * from generate_series(1,3) x, lateral (values (x*2)) t(y)
select * from generate_series(1,3) x left join lateral (select x + 1 as y) t on true
select count(q) from (values (1,2),(3,4)) q(a,b)
with a(k,x) as (values (1,10)), b(k,y) as (values (3,300)), c(k,z) as (values (3,3000)) select k,count(*) from a full join b using(k) full join c using(k) group by k order by k
with a(k,x) as (values (1,10)), b(k,y) as (values (3,300)), c(k,z) as (values (3,3000)) select * from a right join b using(k) left join c using(k)
with a(k,x) as (values (1,10)), b(k,y) as (values (3,300)), c(k,z) as (values (3,3000)) select * from a full join b using(k) full join c using(k) order by 1
select 1e-16::float8 > 0.0, 0.1::float8+0.2::float8 = 0.3, 1.0000000000000002::float8 = 1.0
select f from (values (1e30::float8),('Infinity')) t(f) where f between 0.5 and 1e300 or f in (1.5, 2.5)
select case when true then 1e30::float8 else 0.0 end, coalesce(null::float8, 0.0), greatest(1e20::float8, 0.5), nullif(1e20::float8, 0.0)
select sum(x) over (w order by x) from (values (3,1),(1,2),(2,1)) t(x,g) window w as (partition by g) order by 1
select sum(x) over (w rows between 1 preceding and current row) from (values (3,1),(1,2),(2,1)) t(x,g) window w as (order by x)
select sum(x) over w2 from (values (3,1),(1,2),(2,1)) t(x,g) window w as (partition by g), w2 as (w order by x) order by 1
select x, rank() over w from generate_series(1,3) x window w as (order by x desc) order by rank() over w
select sum(x) over w from generate_series(1,3) x window w as (order by x rows between 1 preceding and current row)
select sum(x) over (order by d range between '7 days'::interval preceding and current row) from (values (1,date '2020-01-01'),(2,date '2020-01-03')) t(x,d)
select a, count(t2.*) from (values (1),(2)) t1(a) left join (values (1,5)) t2(b,c) on a = b group by a order by a
select count(t2.*) from (values (1,5)) t2(b,c)
select make_interval(days := 3)
select interval '00:30' between '00:00' and '23:00'
select '\xDeAd'::bytea, E'\\xDeAd'::bytea
select x from generate_series(3,1,-1) x order by x using <
select trim(both from '  a  '), trim(leading from '  a'), trim('  a ')
select x from generate_series(1,3) x order by x fetch first (1+1) rows only
select avg(age(b,a)) from (values (timestamp '2020-01-01', timestamp '2020-02-03'),(timestamp '2020-01-01', timestamp '2020-03-05')) t(a,b)
select sum(b-a) over (order by a) from (values (timestamp '2020-01-01', timestamp '2020-01-03 10:00'),(timestamp '2020-01-02', timestamp '2020-01-04 09:35')) t(a,b)
select count(*) filter (where x > 1), array_agg(distinct x) from generate_series(1,3) x
select g, x from (values (1,2)) t(g,x) where (g,x) in (select 1, 2)
select k, n, v from (values (1,10,20),(2,30,40)) t(k,a,b) cross join lateral (values ('a', a), ('b', t.b)) as u(n,v) order by 1, 2
select k, n, v from (values (1,10,20),(2,30,40)) t(k,a,b), lateral (select 'a' as n, t.a as v union all select 'b', t.b) u order by 1, 2
select k, u.* from (values (1,10,20),(2,30,40)) t(k,a,b) join lateral (values (a + 1, b)) as u on true order by 1, 2
select t.k, sum(v) from (values (1,10,20),(2,30,40)) t(k,a,b) left join lateral (values (a), (b)) as u(v) on true group by t.k order by 1
select count(t2), count(t2.b) from (values (1),(2)) t1(a) left join (values (1,5)) t2(b,c) on a = b
select a from (values (1),(2)) t1(a) left join (values (1,5)) t2(b,c) on a = b where t2 is null
select x from generate_series(1,5) x where x in (select y from generate_series(1,2) y union select z from generate_series(2,3) z) or x in (select w from generate_series(4,4) w) order by 1
select x from generate_series(1,5) x where x in (select y from generate_series(1,2) y) or x in (select w from generate_series(4,4) w) order by 1
select x from generate_series(1,5) x where x in (select 1) or x in (select 4) order by 1
select x from generate_series(1,5) x where x in (select 1 union select 2) or x > 4 order by 1
select x from generate_series(1,5) x where x in (select 1 from generate_series(1,3)) or x > 4 order by 1
select x from generate_series(1,5) x where not (x in (select 1 union select 2)) order by 1
select f from (select 1e20::float8 union all select 0.5) t(f) order by f
select interval '1-2', interval '1 2:30', interval '-1 days +1 hours', interval '1 month - 1 second'
select f from (values (1e16::float8),(1.0)) t(f) where f > 1.5
values (date '2020-01-01', 1), ('2020-01-02', 2)
select coalesce(null::timestamptz,'9999-12-31')
select coalesce(x,'9999-12-31') from (values (timestamp '2020-01-01'),(null)) t(x)
select coalesce(x,'9999-12-31') from (values (date '2020-01-01'),(null)) t(x)
select coalesce(x,'9999-12-31 10:00') from (values (timestamptz '2020-01-01'),(null)) t(x)
select greatest(x,'2020-06-01'), least(x, '2020-06-01'), nullif(x, '2020-01-01') from (values (date '2020-01-01')) t(x)
select case when x is null then '9999-12-31' else x end from (values (date '2020-01-01'),(null)) t(x)
select case x when '2020-01-01' then 1 else 2 end from (values (date '2020-01-01')) t(x)
select date_trunc('day', '2020-01-01 10:00'::text::timestamp)
select '2' * 3, '2.5' + 1, 2.5 * '2', '10' / 4, 3 - '1', -'3'::int
select 1 + coalesce(null, '2'), coalesce(1, '2'), greatest(1, '5'), nullif(1, '1')
select x in ('2020-01-01', '2020-01-02') from (values (date '2020-01-01')) t(x)
select x between '2020-01-01' and '2020-02-01' from (values (timestamp '2020-01-01 10:00')) t(x)
select array[date '2020-01-01', '2020-01-02']
select x = any(array['2020-01-01','2020-01-02']::date[]) from (values (date '2020-01-01')) t(x)
select 'a' || x from (values (date '2020-01-01')) t(x)
select extract(year from '2020-01-01'::date), date_part('year', timestamp '2020-01-01')
select x::text = '1' , x = '1' from (values (1)) t(x)
select x in ('1','2') from (values (1)) t(x)
select x between '0' and '2' from (values (1.5)) t(x)
select true = 'yes', x = 't', x <> 'off' from (values (true)) t(x)
select coalesce(x, 'f') from (values (true)) t(x)
select date '2020-01-01' union all select '2020-01-02' order by 1
select null union all select 1 order by 1
select sum(x) from (values ('1'::int), ('2')) t(x)
select lag(x, 1, '0') over (order by x) from (values (1),(2)) t(x)
select age('2020-03-01', '2020-01-01'), age(timestamp '2020-03-01', '2020-01-01')
select date_part('day', '2020-01-05'::timestamp - '2020-01-01'), '2020-01-05'::date - '2020-01-01'
select to_char('2020-01-01'::date, 'YYYY'), to_char(interval '1 day', 'DD'), to_char(12, '99')
select string_to_array('a,b', ','), array_to_string('{a,b}'::text[], ','), unnest('{1,2}'::int[])
select json_build_object('a', date '2020-01-01', 'b', timestamp '2020-01-01 10:00', 'c', 1.50, 'd', null)
select '{"a":1}'::jsonb = '{"a": 1}', '{"a":1}'::jsonb ->> 'a' = '1', ('{"a":1}'::jsonb -> 'a')::int + 1
select x from (values ('b'),('A'),('a'),('B')) t(x) order by x
select count(*), count(distinct x), sum(distinct x) from (values (1),(1),(2)) t(x)
select x, sum(x) over (order by x range between 1 preceding and 1 following) from generate_series(1,4) t(x)
select first_value(x) over (partition by x % 2 order by x desc), last_value(x) over (order by x rows between unbounded preceding and unbounded following) from generate_series(1,3) t(x) order by 2, 1
select * from generate_series('2020-01-01'::date, '2020-01-03'::date, '1 day') g
select * from generate_series('2020-01-01'::date, '2020-01-03', '1 day') g
select * from generate_series('2020-01-01'::timestamp, '2020-01-03', '12 hours') g
select x::timestamp from (values ('2020-01-01 10:00'),('Jan 5 2020'),('2020-01-01')) t(x)
select x::date from (values ('05/06/2020'),('Jan 5 2020'),('2020-01-01')) t(x)
select x::timestamptz from (values ('2020-01-01 10:00+02'),('2020-01-01T10:00:00Z')) t(x)
select x::time from (values ('10:00'),('10:00:05.5'),('10:00 PM')) t(x)
select x::boolean from (values ('yes'),('f'),('1'),(' ON ')) t(x)
select x::interval from (values ('1 day'),('1 month - 1 hour'),('P1D')) t(x)
select x > 'now', x < 'today', x > 'epoch' from (values (timestamp '2020-01-01')) t(x)
select true = 't', false <> 'no', true in ('t', 'f')
select array[date '2020-01-01', '2020-01-02'], array[1, '2']
select count(*), sum(x) from (select x from generate_series(1,5) t(x) order by -x) q
select a.x, b.y from (select x from generate_series(1,2) t(x) order by x) a join (select y from generate_series(2,3) t(y) order by y) b on a.x = b.y
select distinct x % 2 as r from (select x from generate_series(1,5) t(x) order by -x) q order by r
select x from (select x from generate_series(1,3) t(x) order by -x) q order by x
select array_agg(x) from (select x from generate_series(1,5) t(x) order by -x limit 3) q
select 33 = any(array[1,null,3]), 1 = any(array[1,null]), 2 <> all(array[1,2]), 3 <> all(array[1,null]), 3 <> all(array[1,2])
select x = any('{2020-01-01,2020-01-02}') from (values (date '2020-01-01')) t(x)
select x = any('{1,2}') from (values (1)) t(x)
select x = any('{a,b}') from (values ('a')) t(x)
select x = any(array['a','b']) from (values ('a'::varchar)) t(x)
select 1 = any('{}'::int[]), 1 = any(array[]::int[])
select x = any(array[1.5, 2]) from (values (2)) t(x)
select oid::int from pg_type where typname = any(array['int4','text']) order by 1
select array[1,2] = any(array[array[1,2]])
select 'r' = any(array['r'::"char", 'v'])
