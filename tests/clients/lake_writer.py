"""Writes a Delta table as another engine, one step a call, and prints what a view by region over it must show.

lake_writer.py FOLDER create|append|delete|update|merge|optimize|checkpoint|overwrite|widen|vacuum
"""

import os
import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake


def rows(first, regions):
    """Rows with ids from `first`, whose amounts are their ids."""
    ids = list(range(first, first + len(regions)))
    return pa.table({"id": pa.array(ids, pa.int64()), "region": regions, "amount": pa.array(ids, pa.int64())})


def create(folder):
    write_deltalake(
        folder,
        rows(1, ["north", "south", "north and east", "south"]),
        partition_by=["region"],
        configuration={"delta.enableChangeDataFeed": "true"},
    )


def append(folder):
    """Rows that are there already are told by nothing but their number."""
    more = rows(10, ["north", "north", "west"])
    write_deltalake(folder, pa.concat_tables([more, more]), mode="append", schema_mode="merge")


def delete(folder):
    DeltaTable(folder).delete("id = 2 OR id = 12")


def update(folder):
    DeltaTable(folder).update(updates={"amount": "amount + 100"}, predicate="region = 'north'")


def merge(folder):
    source = pa.concat_tables([rows(3, ["north and east", "east"]), rows(30, ["east"])])
    merged = DeltaTable(folder).merge(source, "t.id = s.id", source_alias="s", target_alias="t")
    updated = merged.when_matched_update({"amount": "s.amount + 1000"})
    updated.when_not_matched_insert({"id": "s.id", "region": "s.region", "amount": "s.amount"}).execute()


def optimize(folder):
    DeltaTable(folder).optimize.compact()


def checkpoint(folder):
    table = DeltaTable(folder)
    table.create_checkpoint()
    table.cleanup_metadata()


def overwrite(folder):
    write_deltalake(folder, rows(50, ["north", "east", "east"]), mode="overwrite", schema_mode="merge")


def widen(folder):
    """Another column."""
    more = rows(60, ["east"]).append_column("note", pa.array(["x"]))
    write_deltalake(folder, more, mode="append", schema_mode="merge")


def vacuum(folder):
    """What the reader has not seen yet is taken away."""
    update(folder)
    overwrite(folder)
    DeltaTable(folder).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def show(folder):
    """`region|count|sum`, one a line."""
    table = DeltaTable(folder).to_pyarrow_table(columns=["region", "amount"])
    groups = table.group_by("region").aggregate([("amount", "count"), ("amount", "sum")])
    for row in sorted(groups.to_pylist(), key=lambda row: row["region"]):
        print(f"{row['region']}|{row['amount_count']}|{row['amount_sum']}")


if __name__ == "__main__":
    folder, step = sys.argv[1:]
    {
        "create": create,
        "append": append,
        "delete": delete,
        "update": update,
        "merge": merge,
        "optimize": optimize,
        "checkpoint": checkpoint,
        "overwrite": overwrite,
        "widen": widen,
        "vacuum": vacuum,
    }[step](folder)
    show(folder)
    # deltalake's threads may abort the process while Python tears itself down: all is written by now.
    sys.stdout.flush()
    os._exit(0)
