"""The peer of `cargo bench --bench tpch`: DuckDB computes each query anew and writes the answer to a parquet file.

Usage: duckdb_recompute.py SCHEMA INPUT QUERIES

INPUT has a folder of parquet files for each table, QUERIES a file for each query. Each query is run over tables of DuckDB's
own, loaded first into a database on disk, which is not counted; and over the parquet files as they lie, as jobs over a lake
do. Of three runs the middle one counts. Prints one JSON line: version, threads, and for both ways by query the seconds on
the clock and of the processors.

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
        said = {"version": duckdb.__version__, "threads": os.cpu_count()}
        for way, kind in [("tables", "TABLE"), ("files", "VIEW")]:
            database = duckdb.connect(os.path.join(scratch, f"{way}.db"))
            database.execute(f"SET threads = {os.cpu_count()}")
            database.execute(f"CREATE SCHEMA {schema}")
            for table in sorted(os.listdir(folder)):
                files = os.path.join(folder, table, "*.parquet")
                database.execute(
                    f"CREATE {kind} {schema}.{table} AS SELECT * EXCLUDE (op, seq) FROM read_parquet('{files}')"
                )
            database.execute("CHECKPOINT")
            said[way] = {
                file.removesuffix(".sql"): recompute(database, os.path.join(queries, file), scratch)
                for file in sorted(os.listdir(queries))
            }
            database.close()
        print(json.dumps(said))


def recompute(database, file, scratch):
    with open(file) as text:
        query = text.read()
    answer = os.path.join(scratch, "answer.parquet")
    runs = []
    for _ in range(RUNS):
        started = (time.perf_counter(), time.process_time())
        database.execute(f"COPY ({query}) TO '{answer}' (FORMAT parquet)")
        runs.append((time.perf_counter() - started[0], time.process_time() - started[1]))
    seconds, cpu = sorted(runs)[RUNS // 2]
    return {"seconds": seconds, "cpu": cpu}


main(*sys.argv[1:])
