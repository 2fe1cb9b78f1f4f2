"""Reads Delta tables the way other engines do and prints their rows as psql -A -t does.

lake.py duckdb|polars|deltalake FOLDER "column, column" ORDER_COLUMN [VERSION]
"""

import datetime
import decimal
import sys
from pathlib import Path


def text(value):
    """One value in PostgreSQL's words."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime.datetime):
        zone = ""
        if value.tzinfo is not None:
            value, zone = value.astimezone(datetime.timezone.utc).replace(tzinfo=None), "+00"
        shown = value.isoformat(sep=" ")
        return (shown.rstrip("0") if "." in shown else shown) + zone
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(item(v) for v in value) + "}"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return str(value)


def item(value):
    """One item of an array."""
    if value is None:
        return "NULL"
    shown = text(value)
    if shown and shown.lower() != "null" and not set(shown) & set(' {},"\\'):
        return shown
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def with_duckdb(folder, columns, order, version):
    import duckdb
    import duckdb_extension_delta

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    # The wheel carries the extension: nothing is fetched at run time.
    folder_of_wheel = Path(next(iter(duckdb_extension_delta.__path__)))
    extension = next(folder_of_wheel.rglob("delta.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    listed = ", ".join(f'"{c}"' for c in columns)
    at = "" if version is None else f", version := {version}"
    return connection.execute(f"SELECT {listed} FROM delta_scan('{folder}'{at}) ORDER BY \"{order}\"").fetchall()


def with_polars(folder, columns, order, version):
    import polars

    shown = columns + ([] if order in columns else [order])
    return polars.scan_delta(folder, version=version).select(shown).sort(order).select(columns).collect().rows()


def with_deltalake(folder, columns, order, version):
    import deltalake
    import pyarrow

    # Its own engine: the way over pyarrow does not know deletion vectors.
    listed = ", ".join(f'"{c}"' for c in columns)
    query = f'SELECT {listed} FROM t ORDER BY "{order}"'
    batches = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(folder, version=version)).execute(query)
    return [tuple(row[c] for c in columns) for row in pyarrow.table(batches.read_all()).to_pylist()]


def main():
    engine, folder, columns, order, *version = sys.argv[1:]
    columns = [c.strip() for c in columns.split(",")]
    read = {"duckdb": with_duckdb, "polars": with_polars, "deltalake": with_deltalake}[engine]
    for row in read(folder, columns, order, int(version[0]) if version else None):
        print("|".join(text(value) for value in row))


if __name__ == "__main__":
    main()
