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
