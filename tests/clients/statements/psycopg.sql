-- What psycopg 3 sends. Above each statement: the columns that PostgreSQL 15 gives, and their types.

-- = id int8 | amount numeric | d date | ts timestamp | tags _text
select id,amount,d,ts,tags from sales.orders where amount > $1 and d >= $2 order by id;

-- = id int8 | amount numeric | d date | ts timestamp | tags _text | ok bool | f float8
select id,amount,d,ts,tags,ok,f from sales.orders where id=$1;

-- = count int8
select count(*) from sales.orders where amount > $1;

-- = ?column? bool | ?column? text
select $1::text is null, $2;

-- = coalesce text
select coalesce($1,$2);

-- = count int8
select count(*) from sales.orders where id = any($1);

-- = count int8
select count(*) from sales.orders where qty > $1;

-- = ?column? int4
select 1;

-- = ?column? int4
select 2;

-- = name name | oid oid | array_oid oid | regtype text | delimiter char
SELECT
    typname AS name, oid, typarray AS array_oid,
    oid::regtype::text AS regtype, typdelim AS delimiter
FROM pg_type t
WHERE t.oid = to_regtype($1)
ORDER BY t.oid;

-- = case interval
select case when id=1 then null else interval '1 hour' end from sales.orders where id=1;

-- = ?column? float8 | ?column? int4 | round numeric
select 2^3, 7/2, round(2.5::numeric);

-- = count int8
select count(*) from sales.orders a,sales.orders b,sales.orders c,sales.orders d where a.id+b.id+c.id+d.id<>1;
