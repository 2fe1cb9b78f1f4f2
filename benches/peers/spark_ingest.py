"""The peer of `cargo bench --bench ingest`: Spark Structured Streaming drains the same topic into a Delta table.

Usage: spark_ingest.py BOOTSTRAP TOPIC EVENTS DIRECTORY

Rows keep what Sluice's bronze keeps: the decoded columns, the raw text, partition and offset. The drain is cut into
micro-batches; the first ones, in which the JVM compiles, are not counted. Prints one JSON line: events, seconds and CPU
seconds of the counted batches, and the peak memory of the JVM.

Runs in the environment that `.ci/fetch-spark` makes.
"""

import glob
import json
import os
import sys
import threading
import time

from pyspark.sql import SparkSession
from pyspark.sql.functions import col, from_json

COLUMNS = (
    "seq BIGINT, event_time TIMESTAMP, user_id BIGINT, session_id STRING, event_type STRING, "
    "store_id INT, product_id INT, quantity INT, price DECIMAL(10,2), "
    "ctx STRUCT<page: STRING, referrer: STRING, device: STRING, agent: STRING>"
)
# Ten micro-batches, of which three warm up.
BATCHES, WARM_UP = 10, 3


def usage(pid):
    """CPU seconds and peak MiB of a process."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split(" ")
    with open(f"/proc/{pid}/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak) / 1024


def main(bootstrap, topic, events, directory):
    cores = os.cpu_count()
    spark = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.jars", ",".join(glob.glob(f"{sys.prefix}/jars/*.jar")))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", cores)
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )
    jvm = int(spark._jvm.java.lang.ProcessHandle.current().pid())
    payloads = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", events // BATCHES)
        .load()
    )
    raw = col("value").cast("string")
    rows = payloads.select(
        from_json(raw, COLUMNS).alias("row"), raw.alias("_raw"), col("partition"), col("offset"), col("timestamp")
    ).select("row.*", "_raw", "partition", "offset", "timestamp")
    query = (
        rows.writeStream.format("delta")
        .option("checkpointLocation", f"{directory}/checkpoint")
        .trigger(availableNow=True)
        .start(f"{directory}/events")
    )
    # Samples are taken as batches end; a batch lasts seconds, a sample is late by milliseconds.
    samples, finished = [], threading.Event()

    def watch():
        seen = -1
        while not finished.is_set():
            last = query.lastProgress
            if last and last["batchId"] > seen and last["numInputRows"] > 0:
                seen = last["batchId"]
                samples.append((seen, last["numInputRows"], time.monotonic(), *usage(jvm)))
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    query.awaitTermination()
    time.sleep(0.1)
    finished.set()
    watcher.join()
    stored = spark.read.format("delta").load(f"{directory}/events").selectExpr("count(*)", "count(distinct seq)").first()
    assert tuple(stored) == (events, events), f"{stored} of {events}"
    warm, counted = samples[WARM_UP - 1], samples[WARM_UP:]
    print(
        json.dumps(
            {
                "spark": spark.version,
                "events": sum(sample[1] for sample in counted),
                "seconds": counted[-1][2] - warm[2],
                "cpu_seconds": counted[-1][3] - warm[3],
                "peak_mib": counted[-1][4],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
