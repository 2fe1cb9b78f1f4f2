"""Reads Delta tables the way other engines do and prints their rows as psql -A -t does.

lake.py duckdb|polars|deltalake|spark

Each line of its input is FOLDER, "column, column", ORDER_COLUMN and VERSION (or nothing), with tabs between. After the rows
of each a line follows that is a form feed.
"""

import datetime
import decimal
import functools
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


@functools.cache
def spark():
    """The JVM takes seconds to start: one for all tables."""
    from pyspark.sql import SparkSession

    # Beside the environment that this runs in, as `.ci/fetch-spark` puts them.
    jars = sorted(str(jar) for jar in (Path(sys.prefix) / "jars").glob("*.jar"))
    settings = {
        "spark.jars": ",".join(jars),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def with_spark(folder, columns, order, version):
    from pyspark.sql.types import TimestampType

    reader = spark().read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    rows = reader.load(folder).orderBy(f"`{order}`").select([f"`{c}`" for c in columns])
    # Spark hands over instants in the zone of this machine, and without saying so.
    zoned = [isinstance(field.dataType, TimestampType) for field in rows.schema.fields]
    at = [lambda v, z=z: v.astimezone(datetime.timezone.utc) if z and v is not None else v for z in zoned]
    return [tuple(show(value) for show, value in zip(at, row)) for row in rows.collect()]


READERS = {"duckdb": with_duckdb, "polars": with_polars, "deltalake": with_deltalake, "spark": with_spark}


def main():
    read = READERS[sys.argv[1]]
    for line in sys.stdin:
        folder, columns, order, version = line.rstrip("\n").split("\t")
        columns = [c.strip() for c in columns.split(",")]
        for row in read(folder, columns, order, int(version) if version else None):
            print("|".join(text(value) for value in row))
        print("\f")


if __name__ == "__main__":
    main()
