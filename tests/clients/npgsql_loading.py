#!/usr/bin/env python3
"""Loads types as a version of Npgsql does, from a Sluice server and from a PostgreSQL: both must answer alike.

    python3 npgsql_loading.py VERSION SLUICE POSTGRESQL

VERSION: a file of tests/clients/npgsql, which is what that version sends when it opens a connection. Up to 5 its statements
are one batch of the extended protocol (Parse, Bind, Describe, Execute of each, one Sync) that asks for text, from 6 on they are
one message of the simple protocol. SLUICE, POSTGRESQL: where they are, as libpq has it.
"""

import pathlib
import sys

from psycopg import pq

VERSION, SLUICE, POSTGRESQL = sys.argv[1:]
SENT = (pathlib.Path(__file__).parent / "npgsql" / f"{VERSION}.sql").read_text()
IS_BATCH = VERSION[0] in "45"
# What PostgreSQL ships beside the rows of its own catalogs and the domains of information_schema, which Sluice has no types for.
KNOWN = """SELECT oid FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace
           AND typrelid = 0 AND typelem NOT IN (SELECT oid FROM pg_type WHERE typrelid <> 0)"""


def connect(conninfo):
    connection = pq.PGconn.connect(conninfo.encode())
    assert connection.status == pq.ConnStatus.OK, connection.error_message.decode()
    return connection


def table(result):
    """Columns with the numbers of their types, and rows."""
    assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message.decode()
    columns = [(result.fname(i).decode(), result.ftype(i)) for i in range(result.nfields)]
    assert all(result.fformat(i) == pq.Format.TEXT for i in range(result.nfields))
    return columns, [tuple(result.get_value(row, i) for i in range(result.nfields)) for row in range(result.ntuples)]


def simple(connection, text):
    connection.send_query(text.encode())
    return [table(result) for result in iter(connection.get_result, None)]


def batch(connection, text):
    connection.enter_pipeline_mode()
    statements = [statement for statement in text.split(";") if statement.strip()]
    for statement in statements:
        connection.send_query_params(statement.encode(), None, result_format=pq.Format.TEXT)
    connection.pipeline_sync()
    tables = []
    for _ in statements:
        tables.append(table(connection.get_result()))
        assert connection.get_result() is None
    assert connection.get_result().status == pq.ExecStatus.PIPELINE_SYNC
    connection.exit_pipeline_mode()
    return tables


def load(conninfo, text):
    connection = connect(conninfo)
    tables = (batch if IS_BATCH else simple)(connection, text)
    # The pool sends it before the next command, and counts its answers.
    reset = connection.exec_(b"DISCARD ALL")
    assert reset.status == pq.ExecStatus.COMMAND_OK and reset.command_status == b"DISCARD ALL"
    connection.finish()
    if "version()" in text:
        columns, [(version,)] = tables.pop(0)
        assert columns == [("version", 25)] and version.startswith(b"PostgreSQL "), (columns, version)
    return tables


def ids(rows, columns):
    place = [name for name, _ in columns].index("oid")
    return [row[place] for row in rows]


def skipped(columns, rows):
    """Npgsql reads from the first row to the last, and skips what is made of a type that it has not seen."""
    place = [name for name, _ in columns].index("elemoid" if VERSION == "4.0" else "elemtypoid")
    seen, skipped = {None, b"0"}, set()
    for number, row in zip(ids(rows, columns), rows):
        (seen if row[place] in seen else skipped).add(number)
    return skipped


def check(text):
    ours, theirs = load(SLUICE, text), load(POSTGRESQL, text)
    [(_, known)] = simple(connect(POSTGRESQL), KNOWN)
    known = {number for (number,) in known}
    for (our_columns, our_rows), (columns, rows) in zip(ours, theirs, strict=True):
        assert our_columns == columns, f"columns are {our_columns}, not {columns}"
        rows = {row for row, number in zip(rows, ids(rows, columns)) if number in known}
        assert set(our_rows) == rows, f"more: {set(our_rows) - rows}, missing: {rows - set(our_rows)}"
        assert len(our_rows) == len(set(our_rows)), "rows come twice"
    (columns, rows), (_, their_rows) = ours[0], theirs[0]
    assert len(rows) > 100, rows
    assert skipped(columns, rows) == skipped(columns, their_rows) & known


check(SENT)
# Of a server that says it is older than 14, as Sluice does, multiranges are not asked for.
if "rngmultitypid" in SENT:
    check("".join(line for line in SENT.splitlines(keepends=True) if "rngmultitypid" not in line))
# As it comes of a build on Windows.
check(SENT.replace("\n", "\r\n"))
print("PASS")
