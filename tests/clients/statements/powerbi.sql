-- What Power Query sends: metadata, previews, DirectQuery shapes. Above each statement: the columns that PostgreSQL 15 gives, and their types.

-- = character_set_name name
select character_set_name from INFORMATION_SCHEMA.character_sets;

-- = table_schema name | table_name name | table_type varchar
select TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE
from INFORMATION_SCHEMA.tables
where TABLE_SCHEMA not in ('information_schema', 'pg_catalog')
order by TABLE_SCHEMA, TABLE_NAME;

-- = column_name name | ordinal_position int4 | is_nullable varchar | data_type varchar
select COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, case when (data_type like '%unsigned%') then DATA_TYPE || ' unsigned' else DATA_TYPE end as DATA_TYPE
from INFORMATION_SCHEMA.columns
where TABLE_SCHEMA = 'sales' and TABLE_NAME = 'orders'
order by TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION;

-- = pk_column_name name | fk_table_schema name | fk_table_name name | fk_column_name name | ordinal int4 | fk_name text
select
    pkcol.COLUMN_NAME as PK_COLUMN_NAME,
    fkcol.TABLE_SCHEMA AS FK_TABLE_SCHEMA,
    fkcol.TABLE_NAME AS FK_TABLE_NAME,
    fkcol.COLUMN_NAME as FK_COLUMN_NAME,
    fkcol.ORDINAL_POSITION as ORDINAL,
    fkcon.CONSTRAINT_SCHEMA || '_' || fkcol.TABLE_NAME || '_' || 'orders' || '_' || fkcon.CONSTRAINT_NAME as FK_NAME
from
    (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name
        from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol
        on fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA
        and fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol
        on fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA
        and fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME
where pkcol.TABLE_SCHEMA = 'sales' and pkcol.TABLE_NAME = 'orders'
        and pkcol.ORDINAL_POSITION = fkcol.ORDINAL_POSITION
order by FK_NAME, fkcol.ORDINAL_POSITION;

-- = pk_table_schema name | pk_table_name name | pk_column_name name | fk_column_name name | ordinal int4 | fk_name text
select
    pkcol.TABLE_SCHEMA AS PK_TABLE_SCHEMA,
    pkcol.TABLE_NAME AS PK_TABLE_NAME,
    pkcol.COLUMN_NAME as PK_COLUMN_NAME,
    fkcol.COLUMN_NAME as FK_COLUMN_NAME,
    fkcol.ORDINAL_POSITION as ORDINAL,
    fkcon.CONSTRAINT_SCHEMA || '_' || 'orders' || '_' || pkcol.TABLE_NAME || '_' || fkcon.CONSTRAINT_NAME as FK_NAME
from
    (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name
        from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol
        on fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA
        and fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME
        inner join
    INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol
        on fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA
        and fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME
where fkcol.TABLE_SCHEMA = 'sales' and fkcol.TABLE_NAME = 'orders'
        and pkcol.ORDINAL_POSITION = fkcol.ORDINAL_POSITION
order by FK_NAME, fkcol.ORDINAL_POSITION;

-- = index_name text | column_name name | ordinal_position int4 | primary_key text
select i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME as INDEX_NAME, ii.COLUMN_NAME, ii.ORDINAL_POSITION, case when i.CONSTRAINT_TYPE = 'PRIMARY KEY' then 'Y' else 'N' end as PRIMARY_KEY
from INFORMATION_SCHEMA.table_constraints i inner join INFORMATION_SCHEMA.key_column_usage ii on i.CONSTRAINT_SCHEMA = ii.CONSTRAINT_SCHEMA and i.CONSTRAINT_NAME = ii.CONSTRAINT_NAME and i.TABLE_SCHEMA = ii.TABLE_SCHEMA and i.TABLE_NAME = ii.TABLE_NAME
where i.TABLE_SCHEMA = 'sales' and i.TABLE_NAME = 'orders'
and i.CONSTRAINT_TYPE in ('PRIMARY KEY', 'UNIQUE')
order by i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME, ii.TABLE_SCHEMA, ii.TABLE_NAME, ii.ORDINAL_POSITION;

-- = id int8 | customer_id int8 | amount numeric | qty int4 | d date | ts timestamp | tags _text | ok bool | f float8 | u text
select *
from "sales"."orders" "$Table"
limit 1000;

-- = id int8 | amount numeric | ts timestamp
select "$Table"."id" as "id",
    "$Table"."amount" as "amount",
    "$Table"."ts" as "ts"
from "sales"."orders" "$Table";

-- = id int8 | amount numeric
select "$Table"."id" as "id",
    "$Table"."amount" as "amount"
from 
(
    select * from sales.orders
) "$Table"
limit 1000;

-- = u text | a0 numeric | a1 int8
select "_"."u",
    "_"."a0",
    "_"."a1"
from 
(
    select "rows"."u" as "u",
        sum("rows"."amount") as "a0",
        sum("rows"."qty") as "a1"
    from 
    (
        select "_"."id",
            "_"."u",
            "_"."amount",
            "_"."qty",
            "_"."d"
        from "sales"."orders" "_"
        where (("_"."id" in (1, 2, 3, 4)) and "_"."d" < date '2025-01-01') and "_"."d" >= date '2023-01-01'
    ) "rows"
    group by "u"
) "_"
where not "_"."a0" is null or not "_"."a1" is null
limit 1000001;

-- = name_lower text | a0 numeric
select "_"."name_lower",
    "_"."a0"
from 
(
    select "rows"."name_lower" as "name_lower",
        sum("rows"."id") as "a0"
    from 
    (
        select "_"."id" as "id",
            "_"."name" as "name",
            lower("_"."name") as "name_lower"
        from 
        (
            select "_"."id",
                "_"."name"
            from 
            (
                select "id",
                    "name"
                from "sales"."customers" "$Table"
            ) "_"
            where "_"."name" in ('a', 'b')
        ) "_"
    ) "rows"
    group by "name_lower"
) "_"
where not "_"."a0" is null
limit 1000001;

-- = ok bool | a0 int8
select
    "rows"."ok" as "ok",
    count(distinct("rows"."customer_id")) + max(
        case
            when "rows"."customer_id" is null then 1
            else 0
        end
    ) as "a0"
from "sales"."orders" "rows"
group by "ok"
limit 1000001;

-- = a0 timestamp | a1 timestamp
select max("rows"."ts") as "a0", min("rows"."ts") as "a1"
from
(
    select "ts"
    from "sales"."orders" "$Table"
) "rows";

-- = name text | a0 numeric
select "rows"."name" as "name",
    sum("rows"."id") as "a0"
from
(
    select "_"."id",
        "_"."name"
    from "sales"."customers" "_"
    where strpos((case
        when "_"."name" is not null
        then "_"."name"
        else ''
    end), 'a') > 0
) "rows"
group by "name"
limit 1000001;

-- = c30 text | a0 numeric
select "_"."semijoin1.c30" as "c30", "_"."a0" as "a0" from
(
    select "rows"."semijoin1.c30" as "semijoin1.c30", sum(cast("rows"."basetable0.a0" as numeric)) as "a0"
    from
    (
        select "$Outer"."basetable0.a0", "$Inner"."semijoin1.c30"
        from
        (
            select "customer_id" as "basetable0.c22", "amount" as "basetable0.a0" from "sales"."orders" as "$Table"
        ) as "$Outer" join
        (
            select "rows"."name" as "semijoin1.c30", "rows"."id" as "semijoin1.c22"
            from ( select "name", "id" from "sales"."customers" as "$Table" ) as "rows"
            group by "name", "id"
        ) as "$Inner" on ("$Outer"."basetable0.c22" = "$Inner"."semijoin1.c22" or "$Outer"."basetable0.c22" is null and "$Inner"."semijoin1.c22" is null)
    ) as "rows"
    group by "semijoin1.c30"
) as "_"
where not "_"."a0" is null
limit 1000001;

-- = c2 date | c3 timestamp
select "_"."d" as "c2", "_"."ts" as "c3" from ( select "d", "ts", "_"."t0_0" as "t0_0", "_"."t1_0" as "t1_0", "_"."t2_0" as "t2_0", "_"."t3_0" as "t3_0" from ( select "_"."d", "_"."ts", "_"."o0", "_"."o1", "_"."t0_0", "_"."t1_0", "_"."t2_0", "_"."t3_0" from ( select "_"."d" as "d", "_"."ts" as "ts", "_"."o0" as "o0", "_"."o1" as "o1", case when "_"."o0" is not null then "_"."o0" else timestamp '1899-12-28 00:00:00' end as "t0_0", case when "_"."o0" is null then 0 else 1 end as "t1_0", case when "_"."o1" is not null then "_"."o1" else timestamp '1899-12-28 00:00:00' end as "t2_0", case when "_"."o1" is null then 0 else 1 end as "t3_0" from ( select "rows"."d" as "d", "rows"."ts" as "ts", "rows"."o0" as "o0", "rows"."o1" as "o1" from ( select "d" as "d", "ts" as "ts", "d" as "o0", "ts" as "o1" from "sales"."orders" "$Table" ) "rows" group by "d", "ts", "o0", "o1" ) "_" ) "_" ) "_" ) "_" order by "_"."t0_0", "_"."t1_0", "_"."t2_0", "_"."t3_0" limit 501;

-- = id int8 | customer_id int8 | amount numeric | qty int4 | d date | ts timestamp | tags _text | ok bool | f float8 | u text
select * from (select * from sales.orders) _ limit 1;
