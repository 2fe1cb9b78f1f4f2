#!/usr/bin/env python3
"""Inserts two rows into bronze.meters of a Sluice server as Python programs do, with one PostgreSQL driver.

    python3 insert.py DRIVER HOST PORT

DRIVER: psycopg2, psycopg3, asyncpg, pandas.
"""

import asyncio
import datetime as dt
import sys
from decimal import Decimal

DRIVER, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
COLUMNS = ["id", "amount", "ok", "note", "d", "at"]
AT = dt.datetime(2026, 1, 1, 10, tzinfo=dt.timezone(dt.timedelta(hours=2)))
ROWS = [(1, Decimal("1.50"), True, "a\tb", dt.date(2026, 1, 1), AT), (2, None, None, None, None, None)]
NAMES = ", ".join(COLUMNS)


def psycopg2():
    import psycopg2
    import psycopg2.extras

    with psycopg2.connect(host=HOST, port=PORT, user="sluice", dbname="sluice") as connection:
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO bronze.meters ({NAMES}) VALUES (%s, %s, %s, %s, %s, %s)", ROWS[:1])
            psycopg2.extras.execute_values(cursor, "INSERT INTO bronze.meters VALUES %s", ROWS[1:])
            assert cursor.rowcount == 1, cursor.rowcount


def psycopg3():
    import psycopg

    with psycopg.connect(host=HOST, port=PORT, user="sluice", dbname="sluice") as connection:
        with connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO bronze.meters ({NAMES}) VALUES (%s, %s, %s, %s, %s, %s)", ROWS)
            assert cursor.rowcount == 2, cursor.rowcount


def asyncpg():
    import asyncpg

    async def insert():
        connection = await asyncpg.connect(host=HOST, port=PORT, user="sluice", database="sluice")
        await connection.executemany(f"INSERT INTO bronze.meters ({NAMES}) VALUES ($1, $2, $3, $4, $5, $6)", ROWS)
        # One pipeline is one transaction.
        try:
            await connection.executemany("INSERT INTO bronze.meters (id) VALUES ($1)", [(3,), (4,), (None,)])
            raise AssertionError("NULL was taken")
        except asyncpg.NotNullViolationError:
            assert await connection.fetchval("SELECT count(*) FROM bronze.meters") == 2
        await connection.close()

    asyncio.run(insert())


def pandas():
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(f"postgresql+psycopg2://sluice@{HOST}:{PORT}/sluice")
    frame = pandas.DataFrame(ROWS, columns=COLUMNS, dtype=object)
    frame.iloc[:1].to_sql("meters", engine, schema="bronze", if_exists="append", index=False)
    frame.iloc[1:].to_sql("meters", engine, schema="bronze", if_exists="append", index=False, method="multi")


globals()[DRIVER]()
print("PASS")
