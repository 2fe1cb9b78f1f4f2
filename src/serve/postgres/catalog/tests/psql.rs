//! What clients see is what PostgreSQL would print. The statements are psql's and Power Query's, cut to their columns.

use super::fixture::warehouse;

async fn check(search_path: &'static str, sql: &str, expected: &[&str]) {
    let warehouse = warehouse(search_path).await;
    let sql = sql.replace("ORDERS", &warehouse.oid("sales", "orders").to_string());
    assert_eq!(warehouse.run(&sql).await.unwrap_or_else(|error| vec![error.to_string()]), expected, "{sql}");
}

/// `\d`
const RELATIONS: &str = "
    SELECT n.nspname, c.relname,
      CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' END,
      pg_catalog.pg_get_userbyid(c.relowner)
    FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
      AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid)
    ORDER BY 1,2";

#[tokio::test(flavor = "multi_thread")]
async fn relations_on_the_search_path_are_listed() {
    check(
        "sales, public",
        RELATIONS,
        &["sales|daily|materialized view|sluice", "sales|orders|table|sluice", "sales|v|view|sluice"],
    )
    .await;
    check("\"sluice\"", RELATIONS, &["sluice|epochs|table|sluice"]).await;
    check("\"$user\", public", RELATIONS, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_described() {
    check(
        "public",
        "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
           (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef) AS d,
           a.attnotnull, pg_catalog.col_description(a.attrelid, a.attnum)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = 'ORDERS' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        &[
            "id|bigint||true|",
            "customer_id|bigint||false|",
            "amount|numeric(18,2)||false|",
            "qty|integer||false|pieces",
            "d|date||false|",
            "ts|timestamp without time zone||false|",
            "tags|text[]||false|",
            "ok|boolean||false|",
            "f|double precision||false|",
            "u|text||false|",
        ],
    )
    .await;
    check(
        "public",
        "SELECT c2.relname, i.indisprimary, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true),
           pg_catalog.pg_get_constraintdef(con.oid, true)
         FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i
           LEFT JOIN pg_catalog.pg_constraint con
             ON (conrelid = i.indrelid AND conindid = i.indexrelid AND contype IN ('p','u','x'))
         WHERE c.oid = 'ORDERS' AND c.oid = i.indrelid AND i.indexrelid = c2.oid",
        &["orders_pkey|true|CREATE UNIQUE INDEX orders_pkey ON sales.orders USING btree (id)|PRIMARY KEY (id)"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_databases_and_roles_are_listed() {
    check(
        "public",
        "SELECT n.nspname, pg_catalog.obj_description(n.oid, 'pg_namespace') FROM pg_catalog.pg_namespace n
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1",
        &["public|", "sales|", "sluice|"],
    )
    .await;
    check(
        "public",
        "SELECT d.datname, pg_catalog.pg_encoding_to_char(d.encoding),
           pg_catalog.array_to_string(d.datacl, E'\\n') FROM pg_catalog.pg_database d ORDER BY 1",
        &["sluice|UTF8|"],
    )
    .await;
    check(
        "public",
        "SELECT r.rolname, r.rolsuper, r.rolcanlogin, ARRAY(SELECT b.rolname FROM pg_catalog.pg_auth_members m
           JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid) WHERE m.member = r.oid) AS memberof
         FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1",
        &[
            "anna|false|true|[pg_read_all_data, pg_write_all_data, pg_maintain]",
            "sluice|true|true|[pg_read_all_data, pg_write_all_data, pg_maintain]",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_bi_finds_tables_columns_and_keys() {
    check(
        "public",
        "select TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE from INFORMATION_SCHEMA.tables
         where TABLE_SCHEMA not in ('information_schema', 'pg_catalog') order by TABLE_SCHEMA, TABLE_NAME",
        &["sales|daily|BASE TABLE", "sales|orders|BASE TABLE", "sales|v|VIEW", "sluice|epochs|BASE TABLE"],
    )
    .await;
    check(
        "public",
        "select COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, case when (data_type like '%unsigned%') then
           DATA_TYPE || ' unsigned' else DATA_TYPE end as DATA_TYPE, numeric_precision, numeric_scale, udt_name
         from INFORMATION_SCHEMA.columns where TABLE_SCHEMA = 'sales' and TABLE_NAME = 'orders'
           and ORDINAL_POSITION in (1, 3, 6, 7) order by TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
        &[
            "id|1|NO|bigint|64|0|int8",
            "amount|3|YES|numeric|18|2|numeric",
            "ts|6|YES|timestamp without time zone|||timestamp",
            "tags|7|YES|ARRAY|||_text",
        ],
    )
    .await;
    check(
        "public",
        "select i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME as INDEX_NAME, ii.COLUMN_NAME, ii.ORDINAL_POSITION
         from INFORMATION_SCHEMA.table_constraints i inner join INFORMATION_SCHEMA.key_column_usage ii
           on i.CONSTRAINT_SCHEMA = ii.CONSTRAINT_SCHEMA and i.CONSTRAINT_NAME = ii.CONSTRAINT_NAME
         where i.CONSTRAINT_TYPE in ('PRIMARY KEY', 'UNIQUE') order by 1",
        &["sales_daily_pkey|d|1", "sales_orders_pkey|id|1"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn power_bi_finds_relationships() {
    const RELATIONSHIPS: &str = "
        select pkcol.COLUMN_NAME as PK_COLUMN_NAME, fkcol.TABLE_SCHEMA AS FK_TABLE_SCHEMA, fkcol.TABLE_NAME AS FK_TABLE_NAME,
          fkcol.COLUMN_NAME as FK_COLUMN_NAME, fkcol.ORDINAL_POSITION as ORDINAL,
          fkcon.CONSTRAINT_SCHEMA || '_' || fkcol.TABLE_NAME || '_' || 'orders' || '_' || fkcon.CONSTRAINT_NAME as FK_NAME
        from (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name,
                unique_constraint_name from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) fkcon
          inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE fkcol
            on fkcon.CONSTRAINT_SCHEMA = fkcol.CONSTRAINT_SCHEMA and fkcon.CONSTRAINT_NAME = fkcol.CONSTRAINT_NAME
          inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE pkcol
            on fkcon.UNIQUE_CONSTRAINT_SCHEMA = pkcol.CONSTRAINT_SCHEMA
              and fkcon.UNIQUE_CONSTRAINT_NAME = pkcol.CONSTRAINT_NAME
        where pkcol.TABLE_SCHEMA = 'sales' and pkcol.TABLE_NAME = 'orders' and pkcol.ORDINAL_POSITION = fkcol.ORDINAL_POSITION
        order by FK_NAME, fkcol.ORDINAL_POSITION";
    check(
        "public",
        RELATIONSHIPS,
        &["id|sales|daily|first_order|1|sales_daily_orders_daily_first_order_fkey"],
    )
    .await;
    check(
        "public",
        "SELECT table_name, column_name, constraint_name FROM information_schema.constraint_column_usage ORDER BY 3",
        &["orders|id|daily_first_order_fkey", "daily|d|daily_pkey", "orders|id|orders_pkey"],
    )
    .await;
    check(
        "public",
        "SELECT conrelid::regclass, confrelid::regclass, conkey::text, confkey::text, confupdtype, confmatchtype,
           conindid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f'",
        &["sales.daily|sales.orders|{3}|{1}|a|s|sales.orders_pkey|FOREIGN KEY (first_order) REFERENCES sales.orders(id)"],
    )
    .await;
    check(
        "sales",
        "SELECT c.relhastriggers, pg_get_constraintdef(k.oid, true) FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid
         WHERE contype = 'f'",
        &["true|FOREIGN KEY (first_order) REFERENCES orders(id)"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drivers_find_types_and_their_arrays() {
    check(
        "public",
        "SELECT a.typname, a.oid, pg_proc.proname, a.typelem FROM pg_type AS a JOIN pg_proc ON pg_proc.oid = a.typreceive
         WHERE a.typname IN ('int4', '_int4', 'numeric', 'timestamptz') ORDER BY a.oid",
        &[
            "int4|23|int4recv|0",
            "_int4|1007|array_recv|23",
            "timestamptz|1184|timestamptz_recv|0",
            "numeric|1700|numeric_recv|0",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_stand_for_names_print_as_names() {
    check(
        "public",
        "SELECT oid, typname, typreceive FROM pg_type WHERE typreceive != 0 AND typreceive::TEXT = 'int4recv'",
        &["23|int4|int4recv"],
    )
    .await;
    check("public", "SELECT 'sales.orders'::regclass, 'pg_class'::regclass", &["sales.orders|pg_class"])
        .await;
    check("sales", "SELECT 'orders'::regclass, ORDERS::regclass::text", &["orders|orders"]).await;
    check("public", "SELECT 'sales.orders'::regclass::oid = ORDERS, to_regclass('orders')", &["true|"]).await;
    check("public", "SELECT 'double precision'::regtype::oid, 1009::regtype", &["701|text[]"]).await;
    check("public", "SELECT 'orders'::regclass", &["relation \"orders\" does not exist (42P01)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subqueries_keep_their_rules() {
    // Comparisons other than equality, ORDER BY with LIMIT, EXISTS in a select list, two levels.
    check(
        "public",
        "SELECT n.nspname, (SELECT c.relname FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname > n.nspname
           ORDER BY c.relname LIMIT 1), EXISTS (SELECT 1 FROM pg_class c WHERE c.relnamespace = n.oid),
           ARRAY(SELECT c.relname || ARRAY(SELECT k.conname FROM pg_constraint k WHERE k.conrelid = c.oid)::text
             FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'v' ORDER BY 1)
         FROM pg_namespace n WHERE n.nspname IN ('public', 'sales') ORDER BY 1",
        &["public||false|[]", "sales|v|true|[v{}]"],
    )
    .await;
    let two_rows =
        "SELECT (SELECT c.relname FROM pg_class c WHERE c.relnamespace = n.oid) FROM pg_namespace n";
    let refused = "more than one row returned by a subquery used as an expression (21000)";
    check("public", two_rows, &[refused]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_schema_follow_the_search_path() {
    check("sales", "SELECT count(*) FROM orders", &["0"]).await;
    check("public", "WITH pg_type AS (SELECT 1 AS x) SELECT x FROM pg_type", &["1"]).await;
    check("public", "SELECT * FROM orders", &["relation \"orders\" does not exist (42P01)"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn set_returning_functions_return_rows() {
    check("public", "SELECT generate_series(1, 3)", &["1", "2", "3"]).await;
    check("public", "SELECT t FROM generate_series(1, 2) t", &["1", "2"]).await;
    check("public", "SELECT * FROM unnest(array['a','b']) WITH ORDINALITY AS t(v, n)", &["a|1", "b|2"]).await;
    check("public", "SELECT relname FROM pg_class WHERE relname = ANY('{pg_am,nope}'::name[])", &["pg_am"])
        .await;
    check("public", "SELECT 'a!_b' LIKE 'a!!!_b' ESCAPE '!' AS x FETCH FIRST ROW ONLY", &["true"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_are_printed_as_postgresql_does() {
    let sizes = [
        (0, "0 bytes"),
        (10_239, "10239 bytes"),
        (10_240, "10 kB"),
        (1_000_000, "977 kB"),
        (-20_000_000, "-19 MB"),
        (i64::MAX, "8192 PB"),
    ];
    for (bytes, printed) in sizes {
        check("public", &format!("SELECT pg_size_pretty({bytes})"), &[printed]).await;
    }
}
