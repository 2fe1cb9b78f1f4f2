#!/usr/bin/env python3
"""Asks a Sluice server over Arrow Flight SQL and prints the rows as CSV.

    python3 flight.py HOST PORT USER PASSWORD "SQL" [PARAMETER ...]

The statement is run twice: by ADBC (`adbc-driver-flightsql`), the driver behind pandas and Polars, and by plain
`pyarrow.flight`. Both must give the same columns; the rows of the first are printed (a warehouse is live, the second run
may see more), a header line first. Parameters stand for the `?` of the statement and go through ADBC only. Exit codes:
0 done, 1 the server refused, 2 wrong usage, 3 the clients disagree, 77 a package is missing.
"""

import csv
import sys

try:
    import adbc_driver_flightsql.dbapi as adbc
    import adbc_driver_manager
    import pyarrow
    import pyarrow.flight as flight
except ImportError as error:
    print(f"skipped: {error}", file=sys.stderr)
    sys.exit(77)


def ask_adbc(location, user, password, sql, parameters):
    """The result by ADBC: log in, run, fetch as one Arrow table."""
    login = {"username": user, "password": password}
    with adbc.connect(location, db_kwargs=login, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return cursor.fetch_arrow_table()


def ask_pyarrow(location, user, password, sql):
    """The result by plain Flight: trade the password for a token, send the SQL as a command, read every endpoint."""
    with flight.connect(location) as client:
        token = client.authenticate_basic_token(user, password)
        options = flight.FlightCallOptions(headers=[token])
        info = client.get_flight_info(flight.FlightDescriptor.for_command(sql.encode()), options)
        tables = [client.do_get(endpoint.ticket, options).read_all() for endpoint in info.endpoints]
        return pyarrow.concat_tables(tables)


def main():
    if len(sys.argv) < 6:
        print(__doc__, file=sys.stderr)
        return 2
    host, port, user, password, sql, *parameters = sys.argv[1:]
    location = f"grpc://{host}:{port}"
    try:
        table = ask_adbc(location, user, password, sql, parameters)
        again = table if parameters else ask_pyarrow(location, user, password, sql)
    except (adbc_driver_manager.Error, flight.FlightError, pyarrow.ArrowException) as error:
        print(error, file=sys.stderr)
        return 1
    if not table.schema.equals(again.schema):
        print(f"ADBC and pyarrow disagree:\n{table.schema}\n{again.schema}", file=sys.stderr)
        return 3
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table.column_names)
    for batch in table.to_batches():
        writer.writerows(zip(*(column.to_pylist() for column in batch.columns)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
