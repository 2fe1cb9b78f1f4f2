#!/usr/bin/env python3
"""Copies two rows into bronze.meters of a Sluice server as Python programs do, with one PostgreSQL driver.

    python3 copy_in.py DRIVER HOST PORT

DRIVER: psycopg2, psycopg3, asyncpg.
"""

import asyncio
import datetime as dt
import io
import sys
from decimal import Decimal

DRIVER, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
COLUMNS = ["id", "amount", "ok", "note", "d", "at"]
AT = dt.datetime(2026, 1, 1, 10, tzinfo=dt.timezone(dt.timedelta(hours=2)))
ROWS = [(1, Decimal("1.50"), True, "a\tb", dt.date(2026, 1, 1), AT), (2, None, None, None, None, None)]


def psycopg2():
    import psycopg2

    with psycopg2.connect(host=HOST, port=PORT, user="sluice", dbname="sluice") as connection:
        with connection.cursor() as cursor:
            lines = "1\t1.50\tt\ta\\tb\t2026-01-01\t2026-01-01 10:00+02\n2\t\\N\t\\N\t\\N\t\\N\t\\N\n"
            cursor.copy_expert("COPY bronze.meters FROM STDIN", io.StringIO(lines))
            assert cursor.rowcount == 2, cursor.rowcount
    with psycopg2.connect(host=HOST, port=PORT, user="sluice", dbname="sluice") as connection:
        with connection.cursor() as cursor:
            try:
                cursor.copy_expert("COPY bronze.meters FROM STDIN", io.StringIO("x\n"))
            except psycopg2.errors.InvalidTextRepresentation as error:
                assert error.diag.context == 'COPY meters, line 1, column id: "x"', error.diag.context
            else:
                raise AssertionError("a bad row was taken")


def psycopg3():
    import psycopg

    login = {"host": HOST, "port": PORT, "user": "sluice", "dbname": "sluice"}
    with psycopg.connect(**login) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY bronze.meters (id, amount, ok, note, d, at) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int8", "numeric", "bool", "text", "date", "timestamptz"])
            copy.write_row(ROWS[0])
        with cursor.copy("COPY bronze.meters FROM STDIN") as copy:
            copy.write_row(ROWS[1])
    try:
        with psycopg.connect(**login) as connection, connection.cursor() as cursor:
            with cursor.copy("COPY bronze.meters (id) FROM STDIN") as copy:
                copy.write_row([3])
                raise RuntimeError("stop")
    except RuntimeError:
        pass


def asyncpg():
    import asyncpg

    async def run():
        connection = await asyncpg.connect(host=HOST, port=PORT, user="sluice", database="sluice")
        said = await connection.copy_records_to_table("meters", records=ROWS, columns=COLUMNS, schema_name="bronze")
        assert said == "COPY 2", said
        count = await connection.fetchval("SELECT count(*) FROM bronze.meters")
        assert count == 2, count
        await connection.close()

    asyncio.run(run())


{"psycopg2": psycopg2, "psycopg3": psycopg3, "asyncpg": asyncpg}[DRIVER]()
