"""Computes queries with DuckDB and compares: a line of JSON in, a line of JSON out, for each set of tables.

In: {"tables": [{"name", "columns": [[name, type]], "rows": [[text or null]]}], "views": [{"name", "sql"}],
"queries": [{"sql", "rows"}]}. Out, for each query: [how its rows differ or null, why it could not be computed or null].
"""

import json
import sys

import duckdb


def literal(value):
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def create(connection, name, columns, rows):
    listed = ", ".join(f'"{column}" {kind}' for column, kind in columns)
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({listed})")
    if rows:
        lines = ", ".join("(" + ", ".join(literal(value) for value in row) + ")" for row in rows)
        connection.execute(f"INSERT INTO {name} VALUES {lines}")


def compared(connection, sql, rows):
    try:
        columns = [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {sql}").fetchall()]
        connection.execute(f"CREATE OR REPLACE TABLE computed AS {sql}")
    except duckdb.Error as error:
        return [None, str(error)]
    create(connection, "stored", columns, rows)
    # DuckDB counts copies in EXCEPT ALL.
    missing = connection.execute("FROM computed EXCEPT ALL FROM stored").fetchall()
    surplus = connection.execute("FROM stored EXCEPT ALL FROM computed").fetchall()
    if missing or surplus:
        return [f"not stored: {missing}; stored and wrong: {surplus}", None]
    return [None, None]


def main():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET threads = 1")
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        connection.execute("DROP SCHEMA IF EXISTS s CASCADE")
        connection.execute("CREATE SCHEMA s")
        for table in asked["tables"]:
            create(connection, "s." + table["name"], table["columns"], table["rows"])
        for view in asked["views"]:
            try:
                connection.execute(f"CREATE VIEW s.{view['name']} AS {view['sql']}")
            except duckdb.Error:
                pass  # The queries over it cannot be computed either, and say so.
        answers = [compared(connection, query["sql"], query["rows"]) for query in asked["queries"]]
        print(json.dumps(answers), flush=True)


main()
