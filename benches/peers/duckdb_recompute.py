"""The peer of `cargo bench --bench tpch`: DuckDB computes each query anew and writes the answer to a parquet file.

Usage: duckdb_recompute.py SCHEMA INPUT QUERIES

INPUT has a folder of parquet files for each table, QUERIES a file for each query. The tables are loaded first, into a
database on disk; loading is not counted. Of three runs of a query, the middle one counts. Prints one JSON line: version,
threads, and by query the seconds on the clock and of the processors.

Runs in the environment that `fetch-duckdb`, beside this file, makes.
"""

import json
import os
import sys
import tempfile
import time

import duckdb

RUNS = 3


def main(schema, folder, queries):
    with tempfile.TemporaryDirectory() as scratch:
        database = duckdb.connect(os.path.join(scratch, "tables.db"))
        database.execute(f"SET threads = {os.cpu_count()}")
        database.execute(f"CREATE SCHEMA {schema}")
        for table in sorted(os.listdir(folder)):
            files = os.path.join(folder, table, "*.parquet")
            database.execute(
                f"CREATE TABLE {schema}.{table} AS SELECT * EXCLUDE (op, seq) FROM read_parquet('{files}')"
            )
        database.execute("CHECKPOINT")
        took = {}
        for file in sorted(os.listdir(queries)):
            with open(os.path.join(queries, file)) as text:
                query = text.read()
            answer = os.path.join(scratch, "answer.parquet")
            runs = []
            for _ in range(RUNS):
                started = (time.perf_counter(), time.process_time())
                database.execute(f"COPY ({query}) TO '{answer}' (FORMAT parquet)")
                runs.append((time.perf_counter() - started[0], time.process_time() - started[1]))
            seconds, cpu = sorted(runs)[RUNS // 2]
            took[file.removesuffix(".sql")] = {"seconds": seconds, "cpu": cpu}
        print(json.dumps({"version": duckdb.__version__, "threads": os.cpu_count(), "queries": took}))


main(*sys.argv[1:])
