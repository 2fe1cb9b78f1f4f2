"""A peer of `cargo bench --bench flight_out`: pyarrow's Flight server, with all rows in memory.

Usage: flight_memory.py FOLDER

FOLDER has the rows as parquet files. Prints its port once it serves; every ticket gives all rows. This is what Flight can
do at most: nothing is read, planned or computed.

Runs in the environment that `fetch-flight`, beside this file, makes.
"""

import sys

import pyarrow.flight
import pyarrow.parquet


class Memory(pyarrow.flight.FlightServerBase):
    def __init__(self, table):
        super().__init__("grpc://127.0.0.1:0")
        self.table = table

    def do_get(self, context, ticket):
        return pyarrow.flight.RecordBatchStream(self.table)


server = Memory(pyarrow.parquet.read_table(sys.argv[1]))
print(server.port, flush=True)
server.serve()
