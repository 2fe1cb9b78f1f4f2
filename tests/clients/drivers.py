#!/usr/bin/env python3
"""Reads project `shop` from a Sluice server as Python programs do, with one PostgreSQL driver, and checks the values.

    python3 drivers.py DRIVER HOST PORT

DRIVER: psycopg2, psycopg3, asyncpg, sqlalchemy, pandas, duckdb, adbc, pgcli. Exit codes: 0 all as it has to be, 1 something is not
(the traceback tells), 2 wrong usage, 77 a package is missing.
"""

import asyncio
import datetime as dt
import io
import os
import sys
import threading
from decimal import Decimal

UTC = dt.timezone.utc
HOST, PORT = "127.0.0.1", 5433
# Libraries find the password in PGPASSWORD.
USER = os.environ.get("PGUSER", "sluice")
ORDERS = "SELECT order_id, customer_id, amount, status, order_date FROM silver.orders ORDER BY order_id"
FIRST_ORDER = (1, 10, Decimal("20.00"), "paid", dt.date(2026, 1, 1))
TEXTS = ["a", None, 'x "y", {z}']
NUMBERS = "SELECT n::int8 AS n, 'row ' || n AS text FROM generate_series(1, 1000) AS t(n) ORDER BY 1"
ENDLESS = "SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b"


def same(found, expected):
    assert found == expected, f"\n   found {found!r}\nexpected {expected!r}"


def psycopg2():
    import psycopg2
    import psycopg2.extras

    with psycopg2.connect(host=HOST, port=PORT, user=USER, dbname="sluice") as connection:
        with connection.cursor() as cursor:
            cursor.execute(ORDERS)
            rows = cursor.fetchall()
            same((len(rows), rows[0]), (6, FIRST_ORDER))
            values = (1, "it's", Decimal("1.5"), dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 1, 2, 3, 4), [1, 2], None)
            cursor.execute("SELECT %s, %s, %s::numeric(9,1), %s::date, %s::timestamp, %s, %s", values)
            same(cursor.fetchone(), values)
            cursor.execute("SELECT tags FROM silver.customers WHERE tags IS NOT NULL ORDER BY customer_id LIMIT 1")
            assert isinstance(cursor.fetchone()[0], list)
            psycopg2.extras.execute_batch(cursor, "SELECT %s", [(n,) for n in range(5)])
            same(cursor.fetchone(), (4,))
            text = io.StringIO()
            cursor.copy_expert(f"COPY ({ORDERS} LIMIT 1) TO STDOUT WITH CSV HEADER", text)
            same(text.getvalue(), "order_id,customer_id,amount,status,order_date\n1,10,20.00,paid,2026-01-01\n")
        with connection.cursor("steps") as cursor:
            cursor.itersize = 100
            cursor.execute(NUMBERS)
            same([row[0] for row in cursor], list(range(1, 1001)))
        with connection.cursor("both_ways", scrollable=True) as cursor:
            cursor.execute(NUMBERS)
            same(cursor.fetchmany(3)[2][0], 3)
            cursor.scroll(-2)
            same(cursor.fetchone()[0], 2)
            cursor.scroll(999, mode="absolute")
            same(cursor.fetchall(), [(1000, "row 1000")])
        held = connection.cursor("held", withhold=True)
        held.execute(NUMBERS)
        connection.commit()
        same(len(held.fetchall()), 1000)
        held.close()


def psycopg3():
    import psycopg
    import psycopg.types.json

    with psycopg.connect(host=HOST, port=PORT, user=USER, dbname="sluice") as connection:
        for binary in (False, True):
            rows = connection.execute(ORDERS, binary=binary).fetchall()
            same((len(rows), rows[0]), (6, FIRST_ORDER))
            boxes = connection.execute("SELECT ARRAY[[1, 2], [3, 4]], '{{a,b},{c,NULL}}'::text[]", binary=binary)
            same(boxes.fetchone(), ([[1, 2], [3, 4]], [["a", "b"], ["c", None]]))
        values = [
            1, 2**40, 1.5, Decimal("12345678901234567890.123"), Decimal("-0.001"), True, "é", b"\x00\xff",
            dt.date(1, 1, 1), dt.time(1, 2, 3, 4), dt.datetime(2024, 1, 1, 2, 3, 4, 5),
            dt.datetime(2024, 7, 1, tzinfo=UTC), dt.timedelta(days=1, seconds=5), None,
            [1, 2, None], TEXTS, [1.5, None], [dt.date(2024, 1, 1), None], [True, False], [[1, 2], [3, 4]],
        ]
        for value in values:
            # A list of texts has no type in text, there as here.
            for placeholder in ("%b",) if value == TEXTS else ("%t", "%b"):
                for binary in (False, True):
                    found = connection.execute(f"SELECT {placeholder}", (value,), binary=binary).fetchone()[0]
                    assert found == value, f"{placeholder} {binary}: {value!r} came back as {found!r}"
        document, found = psycopg.types.json.Jsonb({"a": [1]}), "SELECT '{\"a\": [1, 2], \"b\": null}'::jsonb @> %s"
        same(connection.execute(found, (document,)).fetchone(), (True,))
        connection.execute("SET TIME ZONE 'America/New_York'")
        moment = connection.execute("SELECT max(ordered_at) FROM silver.orders").fetchone()[0]
        same((moment.utcoffset(), moment.tzinfo.key), (dt.timedelta(hours=-5), "America/New_York"))

        # Prepared by itself from the sixth time on, in pipelines too.
        for n in range(12):
            same(connection.execute("SELECT customer_id FROM silver.orders WHERE order_id = %s", (1,)).fetchone(), (10,))
        assert connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() is not None
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int + 1", (n,)) for n in range(20)]
        same([cursor.fetchone()[0] for cursor in cursors], list(range(1, 21)))
        with connection.transaction():
            try:
                with connection.transaction():
                    connection.execute("SELECT 1/0")
            except psycopg.errors.DivisionByZero:
                pass
            same(connection.execute("SELECT 2").fetchone(), (2,))

        for binary in (False, True):
            with connection.cursor("steps") as cursor:
                cursor.execute(f"SELECT * FROM ({NUMBERS}) AS t WHERE n > %s", (10,), binary=binary)
                same(cursor.fetchmany(2), [(11, "row 11"), (12, "row 12")])
                same(cursor.fetchall()[-1], (1000, "row 1000"))
        with connection.cursor("both_ways", scrollable=True) as cursor:
            cursor.execute(NUMBERS)
            cursor.fetchmany(10)
            cursor.scroll(-5)
            same(cursor.fetchone()[0], 6)
        with connection.cursor().copy(f"COPY ({NUMBERS}) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int8", "text"])
            rows = list(copy.rows())
        same((len(rows), rows[-1]), (1000, (1000, "row 1000")))
        with connection.cursor().copy(f"COPY ({NUMBERS}) TO STDOUT") as copy:
            same(sum(1 for _ in copy.rows()), 1000)
        with connection.cursor() as cursor:
            same([row[0] for row in cursor.stream(NUMBERS, size=100)], list(range(1, 1001)))
    # The library's 18 speaks protocol 3.2, whose cancel keys are longer.
    if psycopg.pq.version() >= 180000:
        target = f"host={HOST} port={PORT} user={USER} dbname=sluice max_protocol_version=3.2"
        with psycopg.connect(target) as connection:
            connection.execute("PREPARE total (int) AS SELECT $1 + 1")
            listed = connection.execute("SELECT name, statement, from_sql FROM pg_prepared_statements").fetchall()
            same(listed, [("total", "PREPARE total (int) AS SELECT $1 + 1", True)])
            stop = threading.Timer(0.2, connection.cancel_safe)
            stop.start()
            try:
                connection.execute(ENDLESS)
                raise AssertionError("an endless query had an end")
            except psycopg.errors.QueryCanceled:
                stop.join()


def asyncpg():
    import asyncpg

    async def read():
        connection = await asyncpg.connect(host=HOST, port=PORT, user=USER, database="sluice")
        rows = await connection.fetch(ORDERS)
        same((len(rows), tuple(rows[0])), (6, FIRST_ORDER))
        prepared = await connection.prepare("SELECT name FROM silver.customers WHERE customer_id = $1")
        same([await prepared.fetchval(10) for _ in range(6)], ["Ada"] * 6)
        values = [
            41, "it's", Decimal("12345678901234567890.123"), dt.date(2020, 2, 2), dt.datetime(2024, 1, 1, tzinfo=UTC),
            dt.timedelta(days=3, seconds=1), True, 1.5, b"\x00\xff", ["a", None],
        ]
        types = ["int8", "text", "numeric", "date", "timestamptz", "interval", "bool", "float8", "bytea", "text[]"]
        for value, name in zip(values, types):
            same(await connection.fetchval(f"SELECT $1::{name}", value), value)
        # It declares no types: they follow from where parameters stand.
        for sql, value, found in [
            ("SELECT interval '1 day' * $1", 2.0, dt.timedelta(days=2)),
            ("SELECT timestamp '2026-01-01' + $1", dt.timedelta(hours=1), dt.datetime(2026, 1, 1, 1)),
            ("SELECT date '2026-01-03' - $1", dt.date(2026, 1, 1), 2),
            ("SELECT '{\"a\": 1, \"b\": 2}'::jsonb @> $1", '{"a": 1}', True),
            ("SELECT '{\"a\": {\"b\": 2}}'::jsonb #>> $1", ["a", "b"], "2"),
            ("SELECT ARRAY[1] || $1", [2, 3], [1, 2, 3]),
            ("SELECT $1 = ANY(ARRAY[1, 2])", 2, True),
            ("SELECT (ARRAY[5, 7])[$1]", 2, 7),
            ("SELECT x FROM (VALUES (1), (2)) AS t(x) WHERE $1 IN (x, 7)", 2, 2),
            ("SELECT percentile_cont($1) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2)) AS t(x)", 0.5, 1.5),
            ("SELECT lag(x, $1, 9) OVER (ORDER BY x) FROM (VALUES (1), (2)) AS t(x) ORDER BY 1", 1, 1),
            ("SELECT $1::regclass::text", "silver.orders", "orders"),
            ("SELECT $1::int[]", [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ]:
            assert (got := await connection.fetchval(sql, value)) == found, f"{sql}: {got!r}"
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            cursor = await connection.cursor(NUMBERS)
            same([row["n"] for row in await cursor.fetch(5)], [1, 2, 3, 4, 5])
            same(await cursor.forward(10), 10)
            same((await cursor.fetchrow())["n"], 16)
            same([row["n"] async for row in connection.cursor(NUMBERS, prefetch=64)], list(range(1, 1001)))
            try:
                async with connection.transaction():
                    await connection.fetch("SELECT 1/0")
            except asyncpg.DivisionByZeroError:
                pass
            same(await connection.fetchval("SELECT 1"), 1)
        text = io.BytesIO()
        await connection.copy_from_query(f"{NUMBERS} LIMIT 2", output=text, format="csv", header=True, force_quote=["text"])
        same(text.getvalue(), b'n,text\n1,"row 1"\n2,"row 2"\n')
        try:
            await connection.fetch(ENDLESS, timeout=0.5)
            raise AssertionError("an endless query had an end")
        except asyncio.TimeoutError:
            pass
        same(await connection.fetchval("SELECT 1"), 1)
        # It asks for the answer to Parse by Flush, not Sync.
        try:
            await asyncio.wait_for(connection.fetch("SELECT nothing FROM silver.orders"), 30)
            raise AssertionError("a column that is not there was found")
        except asyncpg.UndefinedColumnError:
            same(await connection.fetchval("SELECT 1"), 1)
        await connection.reset()
        await connection.close()

    asyncio.run(read())


def sqlalchemy():
    import sqlalchemy as sa

    for driver in ("psycopg2", "psycopg"):
        engine = sa.create_engine(f"postgresql+{driver}://{USER}@{HOST}:{PORT}/sluice")
        orders = sa.table("orders", sa.column("order_id"), sa.column("amount"), schema="silver")
        with engine.connect() as connection:
            query = sa.select(orders.c.order_id, orders.c.amount).where(orders.c.amount > Decimal("20.5"))
            same(tuple(connection.execute(query.order_by(orders.c.order_id)).first()), (6, Decimal("1250.00")))
            steps = connection.execution_options(stream_results=True, max_row_buffer=100)
            same(len(steps.execute(sa.text(NUMBERS)).fetchall()), 1000)
            try:
                connection.execute(sa.text("SELECT nothing FROM silver.orders"))
                raise AssertionError("a column that is not there was found")
            except sa.exc.ProgrammingError as error:
                same(error.orig.sqlstate if driver == "psycopg" else error.orig.pgcode, "42703")
        reflected(sa, engine)


def reflected(sa, engine):
    inspector = sa.inspect(engine)
    assert {"bronze", "silver", "gold"} <= set(inspector.get_schema_names()), inspector.get_schema_names()
    same(inspector.get_view_names("gold"), ["open_orders"])
    same(inspector.get_materialized_view_names("gold"), ["customer_sales", "daily_sales"])
    columns = {column["name"]: column for column in inspector.get_columns("orders", "silver")}
    same((repr(columns["amount"]["type"]), columns["amount"]["comment"]), ("NUMERIC(precision=18, scale=2)", "In euros, tax included"))
    same((columns["order_id"]["nullable"], repr(columns["ordered_at"]["type"])), (False, "TIMESTAMP(timezone=True)"))
    for of in ("pk_constraint", "foreign_keys", "indexes", "unique_constraints", "check_constraints", "table_comment"):
        getattr(inspector, f"get_{of}")("orders", "silver")
    same((inspector.has_table("orders", "silver"), inspector.has_table("nothing", "silver")), (True, False))
    assert "status = 'open'" in inspector.get_view_definition("open_orders", "gold")
    metadata = sa.MetaData()
    metadata.reflect(engine, schema="silver", views=True)
    same(sorted(metadata.tables), ["silver.customers", "silver.orders", "silver.orders__quarantine", "silver.orders__watermark"])


def pandas():
    import pandas
    import sqlalchemy as sa

    engine = sa.create_engine(f"postgresql+psycopg2://{USER}@{HOST}:{PORT}/sluice")
    frame = pandas.read_sql("SELECT city, revenue::float8 AS revenue FROM gold.customer_sales ORDER BY customer_id", engine)
    same(list(frame.columns), ["city", "revenue"])
    same((len(frame), frame.dtypes["revenue"].kind), (4, "f"))
    with engine.connect().execution_options(stream_results=True) as connection:
        same([len(part) for part in pandas.read_sql(sa.text(NUMBERS), connection, chunksize=400)], [400, 400, 200])


def duckdb():
    import glob
    import os

    import duckdb
    import duckdb_extension_postgres_scanner as scanner

    pattern = os.path.join(os.path.dirname(scanner.__file__), "extensions", "*", "postgres_scanner.duckdb_extension")
    database = duckdb.connect(config={"allow_unsigned_extensions": True})
    database.execute(f"LOAD '{glob.glob(pattern)[0]}'")
    database.execute(f"ATTACH 'host={HOST} port={PORT} user={USER} dbname=sluice' AS shop (TYPE postgres, READ_ONLY)")
    database.execute("SET TimeZone = 'UTC'")
    rows = database.execute(ORDERS.replace("silver.orders", "shop.silver.orders")).fetchall()
    same((len(rows), rows[0]), (6, FIRST_ORDER))
    joined = """SELECT c.name, sum(o.amount) FROM shop.silver.orders o JOIN shop.silver.customers c USING (customer_id)
                WHERE o.amount > 20 GROUP BY 1 ORDER BY 1 LIMIT 1"""
    same(database.execute(joined).fetchall(), [("Ada", Decimal("30.05"))])
    same(database.execute("SELECT count(*) FROM shop.gold.customer_sales").fetchone(), (4,))
    numbers = NUMBERS.replace("'", "''")
    same(database.execute(f"SELECT count(*), max(text) FROM postgres_query('shop', '{numbers}')").fetchone(), (1000, "row 999"))


def adbc():
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow

    with adbc.connect(f"postgresql://{USER}@{HOST}:{PORT}/sluice") as connection, connection.cursor() as cursor:
        # By COPY in binary, and without it.
        for copy in ("true", "false"):
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": copy})
            cursor.execute("SELECT order_id, customer_id, amount::text AS amount, status, order_date, ordered_at FROM silver.orders ORDER BY 1")
            table = cursor.fetch_arrow_table()
            same(table.num_rows, 6)
            same(tuple(table.slice(0, 1).to_pylist()[0].values())[:5], (1, 10, "20.00", "paid", dt.date(2026, 1, 1)))
            assert str(table.schema.field("ordered_at").type) == "timestamp[us, tz=UTC]", table.schema
        cursor.execute("SELECT name FROM silver.customers WHERE customer_id = $1", (10,))
        same(cursor.fetchall(), [("Ada",)])
        # Once for each row of values.
        values = pyarrow.record_batch({"1": pyarrow.array([10, 11], pyarrow.int64())})
        cursor.execute("SELECT name FROM silver.customers WHERE customer_id = $1", values)
        same(cursor.fetchall(), [("Ada",), ("Björn \"B\" O'Neil",)])
        cursor.executemany("SELECT name FROM silver.customers WHERE customer_id = $1", values)
        same(cursor.rowcount, 2)
    with adbc.connect(f"postgresql://{USER}@{HOST}:{PORT}/sluice") as connection:
        objects = connection.adbc_get_objects(depth="all", db_schema_filter="gold").read_all().to_pylist()
        tables = {
            table["table_name"]: (table["table_type"], [column["column_name"] for column in table["table_columns"]])
            for schema in objects[0]["catalog_db_schemas"]
            if schema["db_schema_name"] == "gold"
            for table in schema["db_schema_tables"]
        }
        same((tables["daily_sales"][0], sorted(tables["daily_sales"][1])), ("materialized view", ["order_date", "orders", "revenue"]))
        same(tables["open_orders"][0], "view")
        same(connection.adbc_get_table_schema("orders", db_schema_filter="silver").names[:2], ["order_id", "customer_id"])
        assert connection.adbc_get_info()["vendor_name"] == "PostgreSQL"


def pgcli():
    from pgcli.pgexecute import PGExecute
    from pgspecial.main import PGSpecial

    executor = PGExecute("sluice", USER, os.environ.get("PGPASSWORD", ""), HOST, str(PORT), None)
    executor.set_timezone("Etc/UTC")
    # What it asks to complete names, in the background of every session.
    same(list(executor.databases()), ["sluice"])
    assert {("silver", "orders"), ("silver", "customers")} <= set(executor.tables())
    assert ("gold", "open_orders") in set(executor.views())
    assert ("silver", "orders", "amount", "numeric", False, None) in set(executor.table_columns())
    functions = {function.func_name for function in executor.functions()}
    assert {"to_char", "count", "row_number", "generate_series"} <= functions, functions
    for names in (executor.schemata, executor.view_columns, executor.datatypes, executor.foreignkeys, executor.casing):
        list(names())
    assert executor.search_path()
    special = PGSpecial()

    def run(command):
        return [(list(rows or []), headers) for _, rows, headers, *_ in executor.run(command, special)]

    same(run("SELECT count(*) AS n FROM silver.orders"), [([(6,)], ["n"])])
    rows, headers = run("\\d silver.orders")[0]
    same((rows[0][:2], headers[:2]), (["order_id", "bigint"], ["Column", "Type"]))
    for command in ("\\d", "\\dt silver.*", "\\dv gold.*", "\\dm+ gold.*", "\\dn+", "\\df", "\\du", "\\l+", "\\dT", "\\di", "\\dp", "\\dx", "\\db"):
        run(command)


DRIVERS = [psycopg2, psycopg3, asyncpg, sqlalchemy, pandas, duckdb, adbc, pgcli]


def main():
    global HOST, PORT
    drivers = {driver.__name__: driver for driver in DRIVERS}
    if len(sys.argv) != 4 or sys.argv[1] not in drivers:
        print(__doc__, file=sys.stderr)
        return 2
    HOST, PORT = sys.argv[2], int(sys.argv[3])
    try:
        drivers[sys.argv[1]]()
    except ImportError as error:
        print(f"skipped: {error}", file=sys.stderr)
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
