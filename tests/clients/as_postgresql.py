#!/usr/bin/env python3
"""Runs statements on a PostgreSQL and on Sluice and compares all that a client is told: tags, names, types and modifiers of
columns and their places in tables, rows, and of errors SQLSTATE, message, position, hint and detail.

    python3 as_postgresql.py STATEMENTS SLUICE POSTGRESQL

STATEMENTS has one on each line; what begins with `--` is a remark. The last two are connection strings; PostgreSQL's is of an
empty database, which gets the tables of project `shop` as Sluice has them. Each statement is sent by both protocols, by the
simple one three times, as plans are kept, by the extended one in text and in binary. Prints PASS, or the differences and exits with 1.
"""

import sys
from psycopg import pq

TABLES = {
    "silver.orders": "order_id bigint not null, customer_id bigint, amount numeric(18,2), status text, order_date date, ordered_at timestamptz",
    "silver.customers": "customer_id bigint, name text, city text, zip text, tags text[], joined date",
}
ROWS = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.SINGLE_TUPLE)
DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY)
FIELDS = pq.DiagnosticField
SHOWN = (FIELDS.SQLSTATE, FIELDS.MESSAGE_PRIMARY, FIELDS.STATEMENT_POSITION, FIELDS.MESSAGE_HINT, FIELDS.MESSAGE_DETAIL)


def connect(target):
    connection = pq.PGconn.connect(target.encode())
    assert connection.status == pq.ConnStatus.OK, connection.error_message
    return connection


def copied(connection, sql):
    assert connection.exec_(sql.encode()).status == pq.ExecStatus.COPY_OUT
    data = b""
    while True:
        count, piece = connection.get_copy_data(0)
        if count <= 0:
            break
        data += bytes(piece)
    while connection.get_result():
        pass
    return data


def fill(postgresql, sluice):
    for name, columns in TABLES.items():
        schema = name.split(".")[0]
        for sql in (f"CREATE SCHEMA IF NOT EXISTS {schema}", f"CREATE TABLE {name} ({columns})"):
            assert postgresql.exec_(sql.encode()).status == pq.ExecStatus.COMMAND_OK, sql
        rows = copied(sluice, f"COPY (SELECT * FROM {name} ORDER BY 1) TO STDOUT")
        assert postgresql.exec_(f"COPY {name} FROM STDIN".encode()).status == pq.ExecStatus.COPY_IN
        postgresql.put_copy_data(rows)
        postgresql.put_copy_end()
        done = postgresql.get_result()
        assert done.status == pq.ExecStatus.COMMAND_OK, done.error_message
        while postgresql.get_result():
            pass


def answer(connection, sql, form):
    """By the simple protocol if the form of values is None, else by the extended one in text (0) or binary (1)."""
    result = connection.exec_(sql.encode()) if form is None else connection.exec_params(sql.encode(), [], result_format=form)
    if result.status in ROWS:
        columns = [(result.fname(i).decode(), result.ftype(i), result.fmod(i), result.ftable(i) != 0, result.ftablecol(i)) for i in range(result.nfields)]
        cell = lambda row, column: None if (value := result.get_value(row, column)) is None else value.hex() if form else value.decode()
        rows = [tuple(cell(row, column) for column in range(result.nfields)) for row in range(result.ntuples)]
        return (columns, rows, result.command_status.decode())
    if result.status in DONE:
        return result.command_status.decode()
    if result.status == pq.ExecStatus.FATAL_ERROR:
        return tuple((result.error_field(field) or b"").decode() for field in SHOWN)
    return str(result.status)


def main():
    statements = [line.strip() for line in open(sys.argv[1]) if line.strip() and not line.startswith("--")]
    sluice, postgresql = connect(sys.argv[2]), connect(sys.argv[3])
    fill(postgresql, sluice)
    differ = 0
    for sql in statements:
        for form in (None, None, None, 0, 1):
            expected, found = answer(postgresql, sql, form), answer(sluice, sql, form)
            if expected != found:
                differ += 1
                print(f"{sql} (form {form})\n   expected {expected}\n      found {found}")
                break
    print("PASS" if differ == 0 else f"{differ} of {len(statements)} differ")
    return min(differ, 1)


if __name__ == "__main__":
    sys.exit(main())
