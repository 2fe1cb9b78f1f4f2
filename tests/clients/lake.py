"""Reads Delta tables the way other engines do and prints their rows as psql -A -t does.

lake.py duckdb|polars|deltalake|spark

Each line of its input is FOLDER, "column, column", ORDER_COLUMN and VERSION (or nothing), with tabs between; for the columns
"*" all that the engine finds are read, and a line with their names comes before the rows. After the rows of each a line follows
that is a form feed.
"""

import datetime
import decimal
import functools
import sys
from pathlib import Path

ALL = ["*"]


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


def listed(columns):
    """Columns as SQL names them."""
    return "*" if columns == ALL else ", ".join(f'"{c}"' for c in columns)


def with_duckdb(folder, columns, order, version):
    import duckdb
    import duckdb_extension_delta

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    # The wheel carries the extension: nothing is fetched at run time.
    folder_of_wheel = Path(next(iter(duckdb_extension_delta.__path__)))
    extension = next(folder_of_wheel.rglob("delta.duckdb_extension"))
    connection.execute(f"LOAD '{extension}'")
    connection.execute("SET TimeZone = 'UTC'")
    at = "" if version is None else f", version := {version}"
    query = f"SELECT {listed(columns)} FROM delta_scan('{folder}'{at}) ORDER BY \"{order}\""
    rows = connection.execute(query).fetchall()
    return [column[0] for column in connection.description], rows


def with_polars(folder, columns, order, version):
    import polars

    frame = polars.scan_delta(folder, version=version).sort(order)
    frame = (frame if columns == ALL else frame.select(columns)).collect()
    return frame.columns, frame.rows()


def with_deltalake(folder, columns, order, version):
    import deltalake
    import pyarrow

    # Its own engine: the way over pyarrow does not know deletion vectors.
    query = f'SELECT {listed(columns)} FROM t ORDER BY "{order}"'
    batches = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(folder, version=version)).execute(query)
    table = pyarrow.table(batches.read_all())
    return table.column_names, [tuple(row.values()) for row in table.to_pylist()]


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
    rows = reader.load(folder).orderBy(f"`{order}`")
    rows = rows if columns == ALL else rows.select([f"`{c}`" for c in columns])
    # Spark hands over instants in the zone of this machine, and without saying so.
    zoned = [isinstance(field.dataType, TimestampType) for field in rows.schema.fields]
    at = [lambda v, z=z: v.astimezone(datetime.timezone.utc) if z and v is not None else v for z in zoned]
    return rows.columns, [tuple(show(value) for show, value in zip(at, row)) for row in rows.collect()]


READERS = {"duckdb": with_duckdb, "polars": with_polars, "deltalake": with_deltalake, "spark": with_spark}


def main():
    read = READERS[sys.argv[1]]
    for line in sys.stdin:
        folder, columns, order, version = line.rstrip("\n").split("\t")
        columns = [c.strip() for c in columns.split(",")]
        names, rows = read(folder, columns, order, int(version) if version else None)
        if columns == ALL:
            print("|".join(names))
        for row in rows:
            print("|".join(text(value) for value in row))
        print("\f")


if __name__ == "__main__":
    main()
