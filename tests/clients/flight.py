#!/usr/bin/env python3
"""Drives a Sluice server over Arrow Flight SQL with the clients that others wrote, and checks what they get.

    python3 flight.py CHECK HOST PORT [ARGUMENT ...]

ADBC (`adbc-driver-flightsql`) is the driver behind pandas and Polars, `pyarrow.flight` the plain client. CHECK is the name
of a function below. The exit code is 0 when all is as expected; what is not is raised.
"""

import datetime
import decimal
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import adbc_driver_flightsql.dbapi as adbc
import adbc_driver_manager
import pyarrow
import pyarrow.flight as flight

OPTION = "adbc.flight.sql.session.option."
HEADER = "adbc.flight.sql.rpc.call_header."


def connect(host, port, scheme="grpc", **options):
    login = {"username": "sluice", "password": ""}
    return adbc.connect(f"{scheme}://{host}:{port}", db_kwargs={**login, **options}, autocommit=True)


def table(connection, sql, parameters=None):
    """The result as one Arrow table."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


def value(connection, sql, parameters=None):
    """The one value of a result."""
    return table(connection, sql, parameters).column(0)[0].as_py()


def same(found, expected):
    assert found == expected, f"found {str(found)[:2000]}, expected {str(expected)[:2000]}"


def refused(words, act):
    """Expects an error that says all of these words."""
    try:
        act()
    except (adbc_driver_manager.Error, flight.FlightError, pyarrow.ArrowException) as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"{missing} not in: {error}"
        return
    raise AssertionError(f"not refused: {words}")


class Plain:
    """pyarrow.flight, logged in."""

    def __init__(self, host, port, headers=(), **options):
        self.client = flight.connect(f"grpc://{host}:{port}", **options)
        self.login = self.client.authenticate_basic_token("sluice", "")
        self.headers = list(headers)

    def options(self):
        headers = [self.login, *[(name.encode(), text.encode()) for name, text in self.headers]]
        return flight.FlightCallOptions(headers=headers)

    def info(self, sql):
        return self.client.get_flight_info(flight.FlightDescriptor.for_command(sql.encode()), self.options())

    def reader(self, endpoint):
        return self.client.do_get(endpoint.ticket, self.options())

    def act(self, name, body):
        results = self.client.do_action(flight.Action(name, body), self.options())
        return b"".join(result.body.to_pybytes() for result in results)

    def read(self, sql):
        return pyarrow.concat_tables([self.reader(endpoint).read_all() for endpoint in self.info(sql).endpoints])


def values(host, port):
    """Project `shop`: the same rows by both clients, values by type."""
    sql = "SELECT order_id, amount, status, order_date, ordered_at FROM silver.orders ORDER BY 1"
    with connect(host, port) as connection:
        found = table(connection, sql)
        assert found.equals(Plain(host, port).read(sql))
        first = found.slice(0, 1).to_pylist()[0]
        same(first["amount"], decimal.Decimal("20.00"))
        same(first["order_date"], datetime.date(2026, 1, 1))
        same(first["ordered_at"], datetime.datetime(2026, 1, 1, 9, tzinfo=datetime.timezone.utc))
        objects = connection.adbc_get_objects(depth="tables", db_schema_filter="gold").read_all().to_pylist()
        tables = objects[0]["catalog_db_schemas"][0]["db_schema_tables"]
        same([found["table_name"] for found in tables], ["customer_sales", "daily_sales", "open_orders"])


def parameters(host, port):
    """Prepared statements: types, NULL, arrays, several rows of values, and what does not fit."""
    with connect(host, port) as connection:
        sql = "SELECT order_id FROM silver.orders WHERE amount > ? AND status = ? AND order_date <= ? ORDER BY 1"
        found = table(connection, sql, (decimal.Decimal("10"), "paid", datetime.date(2026, 1, 1)))
        same(found.column(0).to_pylist(), [1])
        same(value(connection, "SELECT ?::text IS NULL", (None,)), True)
        same(value(connection, "SELECT coalesce(?::bigint, -1)", (None,)), -1)
        same(value(connection, "SELECT count(*) FROM silver.orders WHERE amount > ?", (None,)), 0)
        arrays = pyarrow.record_batch({"1": pyarrow.array([[1, 2, None]], pyarrow.list_(pyarrow.int64()))})
        found = table(connection, "SELECT order_id FROM silver.orders WHERE order_id = ANY(?) ORDER BY 1", arrays)
        same(found.column(0).to_pylist(), [1, 2])
        # Each row of values is a run of its own; the results follow one another.
        runs = pyarrow.record_batch({"1": [7, 1, 99, 6], "2": ["paid", "paid", "paid", None]})
        by_key = "SELECT order_id FROM silver.orders WHERE order_id = ? AND coalesce(status = ?, true)"
        same(table(connection, by_key, runs).column(0).to_pylist(), [7, 1, 6])
        odd = pyarrow.record_batch(
            {
                "1": pyarrow.array([3], pyarrow.uint8()),
                "2": pyarrow.array(["x"]).dictionary_encode(),
                "3": pyarrow.array([datetime.datetime(2026, 1, 1)], pyarrow.timestamp("ns", "Europe/Berlin")),
            }
        )
        found = table(connection, "SELECT ?::int + 1, ? || 'y', ?::timestamptz = '2026-01-01T00:00:00Z'", odd)
        same(found.to_pydict().popitem()[1], [True])
        same([column.to_pylist() for column in found.columns][:2], [[4], ["xy"]])
        refused(["08P01", "1 parameters are bound, but the statement has 3"], lambda: table(connection, sql, (1,)))
        refused(["22P02", "parameter $1", "Int64"], lambda: table(connection, by_key, ("seven", "paid")))
        with connection.cursor() as cursor:
            update = lambda: cursor.executemany("SELECT ?::int", [(1,), (2,)])
            refused(["0A000", "SELECT is not an update"], update)


def parallel(host, port, rows):
    """`bronze.numbers` has its rows in several files: the parts of a result are the result."""
    rows = int(rows)
    sql = "SELECT n, text FROM bronze.numbers WHERE n >= 0"
    plain = Plain(host, port)
    whole = Plain(host, port, [("sluice-endpoints-max", "1")])
    one = whole.info(sql)
    same((len(one.endpoints), one.ordered), (1, True))
    expected = whole.read(sql).sort_by("n")
    same(expected.column("n").to_pylist(), list(range(rows)))

    info = plain.info(sql)
    if (os.cpu_count() or 1) > 1:
        assert len(info.endpoints) > 1, "a large result without an order has parts"
        assert not info.ordered
    read = lambda endpoint: plain.reader(endpoint).read_all()
    # One by one, all at once, and again: a part can be read as often as one likes, whoever else is read.
    parts = [read(endpoint) for endpoint in info.endpoints]
    assert pyarrow.concat_tables(parts).sort_by("n").equals(expected)
    with ThreadPoolExecutor(len(info.endpoints)) as pool:
        for _ in range(3):
            together = list(pool.map(read, info.endpoints))
            assert all(a.sort_by("n").equals(b.sort_by("n")) for a, b in zip(together, parts))
    # One that is left after its first batch costs the others nothing.
    first = plain.reader(info.endpoints[0])
    first.read_chunk()
    first.cancel()
    same([read(endpoint).num_rows for endpoint in info.endpoints], [part.num_rows for part in parts])

    for sql in [f"{sql} ORDER BY n", f"{sql} LIMIT {rows}", "SELECT count(*) FROM bronze.numbers", "SELECT 1"]:
        info = plain.info(sql)
        same((len(info.endpoints), info.ordered), (1, True))
    ordered = plain.read("SELECT n FROM bronze.numbers ORDER BY n").column("n")
    same(ordered.to_pylist(), list(range(rows)))
    with connect(host, port) as connection:
        assert table(connection, "SELECT n, text FROM bronze.numbers").sort_by("n").equals(expected)
        same(value(connection, "SELECT count(*) FROM bronze.numbers WHERE n < ?", (10,)), 10)


def forms(host, port):
    """Compressed, and texts as dictionaries: by header and as an option of the session, the same values."""
    sql = "SELECT status, order_id, 'ü' || status AS other FROM silver.orders ORDER BY order_id"
    expected = Plain(host, port).read(sql)
    for compression in ["none", "lz4", "zstd"]:
        assert Plain(host, port, [("sluice-compression", compression)]).read(sql).equals(expected)
        with connect(host, port) as connection:
            connection.adbc_connection.set_options(**{f"{OPTION}sluice.compression": compression})
            assert table(connection, sql).equals(expected)
    refused(["22023", "none, lz4, zstd"], lambda: Plain(host, port, [("sluice-compression", "zip")]).read(sql))

    encoded = Plain(host, port, [("sluice-dictionaries", "on"), ("sluice-compression", "zstd")])
    found = encoded.read(sql)
    assert pyarrow.types.is_dictionary(found.schema.field("status").type), found.schema
    assert found.schema.equals(encoded.info(sql).schema)
    assert found.cast(expected.schema).equals(expected)
    # Each batch has a dictionary of its own.
    many = "SELECT 'row ' || n % 20000 AS text FROM generate_series(1, 50000) AS t(n) ORDER BY n"
    texts = [f"row {n % 20000}" for n in range(1, 50001)]
    same(encoded.read(many).column("text").to_pylist(), texts)
    with connect(host, port) as connection:
        connection.adbc_connection.set_options(**{"adbc.flight.sql.session.optionbool.sluice.dictionaries": "true"})
        found = table(connection, sql)
        assert pyarrow.types.is_dictionary(found.schema.field("status").type), found.schema
        assert found.cast(expected.schema).equals(expected)
        same(table(connection, many).column("text").to_pylist(), texts)


def options(host, port):
    """Options that a session has: by ADBC, whose session is its login's, and by a cookie."""
    with connect(host, port) as connection:
        session = connection.adbc_connection
        session.set_options(
            **{
                f"{OPTION}TimeZone": "Asia/Tokyo",
                f"{OPTION}schema": "silver",
                f"{OPTION}catalog": "sluice",
                f"{OPTION}statement_timeout": "90s",
                "adbc.flight.sql.session.optionbool.jit": "true",
            }
        )
        same(value(connection, "SHOW TimeZone"), "Asia/Tokyo")
        same(value(connection, "SELECT count(*) FROM orders"), 6)
        same(value(connection, "SHOW statement_timeout"), "90s")
        same(session.get_option(f"{OPTION}TimeZone"), "Asia/Tokyo")
        same(session.get_option(f"{OPTION}schema"), "silver")
        same(session.get_option(f"{OPTION}catalog"), "sluice")
        same(session.get_option("adbc.flight.sql.session.optionbool.jit"), "true")
        paths = "adbc.flight.sql.session.optionstringlist.search_path"
        session.set_options(**{paths: '["bronze", "gold"]'})
        same(value(connection, "SELECT count(*) FROM orders"), 8)
        # What a call says itself counts for it.
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{f"{HEADER}sluice-time-zone": "UTC"})
            cursor.execute("SHOW TimeZone")
            same(cursor.fetchone()[0], "UTC")
        same(value(connection, "SHOW TimeZone"), "Asia/Tokyo")
        for name, wrong in [("TimeZone", "Mars/Olympus"), ("catalog", "other"), ("no_such", "1"), ("server_version", "1")]:
            refused([name], lambda: session.set_options(**{f"{OPTION}{name}": wrong}))
        session.set_options(**{"adbc.flight.sql.session.optionerase.TimeZone": ""})
        same(value(connection, "SHOW TimeZone"), "UTC")
        # Another login is another session.
        with connect(host, port) as other:
            same(value(other, "SHOW statement_timeout"), "0")
    # Without a login there is no token: the server hands out a cookie.
    cookies = {"adbc.flight.sql.rpc.with_cookie_middleware": "true"}
    with adbc.connect(f"grpc://{host}:{port}", db_kwargs=cookies, autocommit=True) as connection:
        connection.adbc_connection.set_options(**{f"{OPTION}TimeZone": "Asia/Tokyo"})
        same(value(connection, "SHOW TimeZone"), "Asia/Tokyo")
    with adbc.connect(f"grpc://{host}:{port}", autocommit=True) as connection:
        same(value(connection, "SHOW TimeZone"), "UTC")


def field(message):
    """A message as the first field of another, which pyarrow has no class for."""
    length, size = b"", len(message)
    while size >= 128:
        length, size = length + bytes([size % 128 + 128]), size // 128
    return b"\x0a" + length + bytes([size]) + message


# The status of a CancelFlightInfoResult.
CANCELLED = b"\x08\x01"
ENDLESS = "SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b"


def lifetimes(host, port):
    """Tickets: renewed, cancelled; a query that is cancelled ends; actions are listed."""
    plain = Plain(host, port)
    info = plain.info("SELECT 1")
    endpoint = info.endpoints[0]
    assert endpoint.expiration_time is not None
    renew = lambda: flight.FlightEndpoint.deserialize(plain.act("RenewFlightEndpoint", field(endpoint.serialize())))
    cancel = lambda info: plain.act("CancelFlightInfo", field(info.serialize()))
    renewed = renew()
    assert renewed.expiration_time.as_py() >= endpoint.expiration_time.as_py()
    same(plain.reader(renewed).read_all().num_rows, 1)
    same(cancel(info), CANCELLED)
    refused(["26000"], lambda: plain.reader(endpoint).read_all())
    refused(["26000"], renew)
    refused(["26000"], lambda: cancel(info))

    info = plain.info(ENDLESS)
    patient = flight.FlightCallOptions(headers=[plain.login], timeout=20)
    with ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(lambda: cancel(info))
        try:
            plain.client.do_get(info.endpoints[0].ticket, patient).read_all()
            raise AssertionError("an endless query has ended")
        except KeyboardInterrupt:
            pass  # What pyarrow makes of a call that was cancelled.
        except (flight.FlightError, pyarrow.ArrowException) as error:
            # The ticket may have gone before it was read.
            assert "57014" in str(error) or "26000" in str(error), error
        same(cancelling.result(), CANCELLED)
    listed = {action.type for action in plain.client.list_actions(plain.options())}
    assert {"CancelFlightInfo", "RenewFlightEndpoint", "SetSessionOptions", "CloseSession"} <= listed, listed
    refused(["28000", "bearer token is unknown or has expired"], lambda: stranger(host, port))


def stranger(host, port):
    options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer guess")])
    flight.connect(f"grpc://{host}:{port}").get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 1"), options)


def ingest(host, port):
    """`bronze.readings` takes pushes: rows are in bronze as they were sent, by type; what does not fit is named."""
    at = datetime.datetime(2026, 1, 1, 10, 30, 0, 123456, datetime.timezone.utc)
    rows = pyarrow.table(
        {
            "sensor": pyarrow.array(["a", "b", None], pyarrow.large_string()),
            "value": pyarrow.array([1.5, None, float("nan")], pyarrow.float64()),
            "price": pyarrow.array([decimal.Decimal("12.50"), None, decimal.Decimal("-0.01")], pyarrow.decimal128(38, 2)),
            "taken": pyarrow.array([7, 8, None], pyarrow.int16()),
            "seen_at": pyarrow.array([at, None, at], pyarrow.timestamp("ns", "Europe/Berlin")),
            "day": pyarrow.array([datetime.date(2026, 1, 1), None, datetime.date(1969, 12, 31)]),
            "payload": pyarrow.array([b"\x00\xff", None, b""], pyarrow.binary()),
            "tags": pyarrow.array([["x", None], [], None], pyarrow.list_(pyarrow.string())),
        }
    )
    columns = ", ".join(rows.column_names)
    with connect(host, port) as connection:

        def send(data, mode="append", name="readings", headers=None, **more):
            with connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{f"{HEADER}{name}": text for name, text in (headers or {}).items()})
                return cursor.adbc_ingest(name, data, mode=mode, **more)

        def until(expected, sql):
            # What is durable is read once its epoch is published.
            deadline = datetime.datetime.now() + datetime.timedelta(seconds=30)
            while (found := value(connection, sql)) != expected:
                assert datetime.datetime.now() < deadline, f"found {found!r}, expected {expected!r}"

        same(send(rows), 3)
        until(3, "SELECT count(*) FROM bronze.readings")
        found = table(connection, f"SELECT {columns} FROM bronze.readings ORDER BY _offset")
        # Every type that was sent holds what is in bronze; a NaN differs from itself, so that texts are compared.
        same(str(found.cast(rows.schema).to_pylist()), str(rows.to_pylist()))
        raw = value(connection, "SELECT _raw FROM bronze.readings WHERE sensor = 'a'")
        assert b'"sensor":"a"' in raw and b'"taken":7' in raw, raw

        # With a channel and a token the rows of a call are taken once.
        many = 100_000
        once = pyarrow.table({"sensor": ["c"] * many, "taken": range(many), "value": [0.5] * many, "day": [at.date()] * many})
        sender = {"sluice-channel": "loader", "sluice-token": "5"}
        same(send(once, headers=sender), many)
        same(send(once, headers=sender), 0)
        same(send(once, headers={**sender, "sluice-token": "6"}), many)
        until(2 * many + 3, "SELECT count(*) FROM bronze.readings")
        per_token = "SELECT count(DISTINCT _offset) FROM bronze.readings WHERE _partition = 'loader' AND _offset / 1000000 = 5"
        same(value(connection, per_token), many)
        # More than one piece.
        pieces = pyarrow.table({"sensor": ["d" * 100] * many, "value": [0.5] * many})
        same(send(pieces.to_reader(max_chunksize=10_000)), many)
        wide = pyarrow.table({"sensor": ["w" * 200] * many})
        late = {**sender, "sluice-token": "7"}
        refused(["54000", "limits.push_bytes_max"], lambda: send(wide.to_reader(max_chunksize=10_000), headers=late))
        until(many, f"SELECT count(*) FROM bronze.readings WHERE sensor = '{'d' * 100}' AND value = 0.5")

        # A value that its column cannot hold costs its own row.
        same(send(pyarrow.table({"sensor": ["e", "f"], "taken": [1, 1 << 40], "price": [1.25, 1.0]})), 1)
        same(send(pyarrow.table({"sensor": ["g"], "price": [1.255]})), 0)
        same(send(pyarrow.table({"sensor": ["h"], "day": pyarrow.nulls(1), "tags": pyarrow.nulls(1)})), 1)
        until(2, "SELECT count(*) FROM bronze.readings__quarantine")
        same(
            table(connection, "SELECT rule, reason FROM bronze.readings__quarantine ORDER BY 2").to_pylist(),
            [
                {"rule": "type", "reason": 'field "price": its value is not exactly one of DECIMAL(10,2)'},
                {"rule": "type", "reason": 'field "taken": its value is not exactly one of INT'},
            ],
        )

        other = pyarrow.table({"sensor": [1], "colour": ["red"], "value": ["high"]})
        refused(
            ['there is no column "colour"', 'column "value" is DOUBLE, not Utf8', 'column "sensor" is TEXT', "bronze.readings has columns"],
            lambda: send(other),
        )
        refused(["42P01", "readings"], lambda: send(rows, name="nothing"))
        refused(["42809", "gold.readings"], lambda: send(rows, db_schema_name="gold"))
        for mode, words in [("create", "creating a table"), ("replace", "replacing a table")]:
            refused(["0A000", words, "only appending"], lambda: send(rows, mode=mode))
        refused(["go together"], lambda: send(rows, headers={"sluice-channel": "loader"}))

        # An update is one statement, or one for each row of values: all of them or none.
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_sql_query("INSERT INTO bronze.readings (sensor, taken) VALUES ('u1', 1), ('u2', 2)")
            same(cursor.adbc_statement.execute_update(), 2)
            insert = "INSERT INTO bronze.readings (sensor, price, taken, day) VALUES (?, ?, ?, ?)"
            cursor.executemany(insert, [("u3", decimal.Decimal("1.25"), 3, at.date()), ("u4", None, 4, None)])
            same(cursor.rowcount, 2)
            until(4, "SELECT count(*) FROM bronze.readings WHERE sensor LIKE 'u_'")
            found = table(connection, "SELECT sensor, price, taken, day FROM bronze.readings WHERE sensor LIKE 'u_' ORDER BY 1")
            same(
                [tuple(row.values()) for row in found.to_pylist()],
                [("u1", None, 1, None), ("u2", None, 2, None), ("u3", decimal.Decimal("1.25"), 3, at.date()), ("u4", None, 4, None)],
            )
            too_large = [("v1", None, 1, None), ("v2", None, 1 << 40, None)]
            refused(["22003", "integer out of range"], lambda: cursor.executemany(insert, too_large))
            refused(["0A000", "INSERT gives no rows"], lambda: cursor.execute("INSERT INTO bronze.readings (sensor) VALUES ('v3')"))
            same(value(connection, "SELECT count(*) FROM bronze.readings WHERE sensor LIKE 'v_'"), 0)


def push(host, port, expected):
    """Puts rows into `bronze.readings` with a channel and a token; tells how many were taken."""
    with connect(host, port) as connection, connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{f"{HEADER}sluice-channel": "loader", f"{HEADER}sluice-token": "1"})
        rows = pyarrow.table({"sensor": ["a", "b", "c"], "value": [1.5, 2.5, None]})
        same(cursor.adbc_ingest("readings", rows, mode="append"), int(expected))


def expired(host, port):
    """Tokens live for a second: an unused one is refused, and a new login helps."""
    plain = Plain(host, port)
    same(plain.read("SELECT 1").num_rows, 1)
    time.sleep(1.5)
    refused(["28000", "has expired", "Log in again"], lambda: plain.info("SELECT 1"))
    same(Plain(host, port).read("SELECT 1").num_rows, 1)


def either(host, port, folder):
    """A server that has a certificate and does not insist on it."""
    ca = open(os.path.join(folder, "ca.crt")).read()
    with connect(host, port) as connection:
        same(value(connection, "SELECT 1"), 1)
    with connect(host, port, "grpc+tls", **{"adbc.flight.sql.client_option.tls_root_certs": ca}) as connection:
        same(value(connection, "SELECT 1"), 1)


def recertified(host, port, folder, new):
    """A certificate that changes: what `new` holds is put in the place of `folder`'s while a connection is open."""
    read = lambda path, name: open(os.path.join(path, name), "rb").read()
    old_ca, new_ca = read(folder, "ca.crt"), read(new, "ca.crt")

    def put(changed_at, **files):
        for name, content in files.items():
            path = os.path.join(folder, f"server.{name}")
            with open(path + ".new", "wb") as file:
                file.write(content)
            # Files of one moment look unchanged where the clock of the file system is coarse.
            os.utime(path + ".new", (changed_at, changed_at))
            os.rename(path + ".new", path)

    def once(ca):
        options = {"adbc.flight.sql.client_option.tls_root_certs": ca.decode()}
        with connect(host, port, "grpc+tls", **options) as connection:
            return value(connection, "SELECT 1")

    same(once(old_ca), 1)
    refused([], lambda: once(new_ca))
    options = {"adbc.flight.sql.client_option.tls_root_certs": old_ca.decode()}
    with connect(host, port, "grpc+tls", **options) as before:
        same(value(before, "SELECT 1"), 1)
        # The key goes first: between the two they do not go together, and nobody connects meanwhile.
        put(1, key=read(new, "server.key"), crt=read(new, "server.crt"))
        same(once(new_ca), 1)
        refused([], lambda: once(old_ca))
        put(2, key=b"no key")
        for _ in range(2):
            same(once(new_ca), 1)
        same(value(before, "SELECT 1"), 1)


def encrypted(host, port, folder):
    """A server that asks for certificates of clients: who shows a good one is in."""
    read = lambda name: open(os.path.join(folder, name), "rb").read()
    ca, sql = read("ca.crt").decode(), "SELECT n FROM generate_series(1, 100000) AS t(n)"

    def by_adbc(**more):
        certificates = {"adbc.flight.sql.client_option.tls_root_certs": ca}
        for option, name in more.items():
            certificates[f"adbc.flight.sql.client_option.{option}"] = read(name).decode()
        with connect(host, port, scheme="grpc+tls", **certificates) as connection:
            return table(connection, sql).num_rows

    def by_pyarrow(name):
        options = {"tls_root_certs": read("ca.crt"), "cert_chain": read(f"{name}.crt"), "private_key": read(f"{name}.key")}
        with flight.connect(f"grpc+tls://{host}:{port}", **options) as client:
            login = flight.FlightCallOptions(headers=[client.authenticate_basic_token("sluice", "")])
            info = client.get_flight_info(flight.FlightDescriptor.for_command(sql.encode()), login)
            return client.do_get(info.endpoints[0].ticket, login).read_all().num_rows

    same(by_adbc(mtls_cert_chain="client.crt", mtls_private_key="client.key"), 100_000)
    same(by_pyarrow("client"), 100_000)
    refused([], lambda: by_adbc(mtls_cert_chain="stranger.crt", mtls_private_key="stranger.key"))
    refused([], by_adbc)
    refused([], lambda: by_pyarrow("stranger"))
    refused([], lambda: Plain(host, port))
    same(by_pyarrow("client"), 100_000)


def main():
    if len(sys.argv) < 4:
        print(__doc__, file=sys.stderr)
        return 2
    check, *arguments = sys.argv[1:]
    globals()[check](*arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
