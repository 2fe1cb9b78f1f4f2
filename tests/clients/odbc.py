#!/usr/bin/env python3
"""Asks psqlODBC for the catalogue, as Access, Excel and Tableau do, of a Sluice server and of PostgreSQL with the same tables:
each has to be told the same.

    python3 odbc.py DRIVER HOST PORT OTHER_HOST OTHER_PORT

DRIVER is the path of psqlodbcw.so or psqlodbca.so, which unixODBC's driver manager (libodbc.so.2) loads.
"""

import ctypes
import sys
from ctypes import byref, c_char_p, c_int, c_long, c_short, c_ulong, c_void_p

ODBC = ctypes.CDLL("libodbc.so.2")
SUCCESS, SUCCESS_WITH_INFO, NO_DATA = 0, 1, 100
ENVIRONMENT, CONNECTION, STATEMENT = 1, 2, 3
ODBC_VERSION, ODBC_3 = 200, 3
NULL, TEXT_ENDS_WITH_0, AS_TEXT = -1, -3, 1
TEXT_BYTES_MAX = 4096

# Of indexes: all or unique ones; of statistics: what costs little. Of special columns: those that name a row, or that change
# with it. Of types: all, bigint, timestamp.
ALL, UNIQUE, QUICK = 1, 0, 0
ROW_IDENTIFIER, ROW_VERSION, SESSION, NULLABLE = 1, 2, 2, 1
ALL_TYPES, BIGINT, TIMESTAMP = 0, -5, 93

CALLS = [
    ("SQLTables", None, "sales", "%", None),
    ("SQLTables", None, "sales", "%", "TABLE,VIEW"),
    ("SQLTables", None, "sales", "%", "'VIEW'"),
    ("SQLTables", None, "s_les", "b%", None),
    ("SQLTables", "%", "", "", None),
    ("SQLColumns", None, "sales", "orders", "%"),
    ("SQLColumns", None, "sales", "bills", "%"),
    ("SQLColumns", None, "sales", "totals", "%"),
    ("SQLColumns", None, "sales", "v", "%"),
    ("SQLColumns", None, "sales", "orders", "customer\\_id"),
    ("SQLPrimaryKeys", None, "sales", "bills"),
    ("SQLForeignKeys", None, None, None, None, "sales", "bills"),
    ("SQLForeignKeys", None, "sales", "customers", None, None, None),
    ("SQLForeignKeys", None, "sales", "customers", None, "sales", "bills"),
    ("SQLStatistics", None, "sales", "bills", ALL, QUICK),
    ("SQLStatistics", None, "sales", "bills", UNIQUE, QUICK),
    ("SQLStatistics", None, "sales", "v", ALL, QUICK),
    ("SQLSpecialColumns", ROW_IDENTIFIER, None, "sales", "bills", SESSION, NULLABLE),
    ("SQLSpecialColumns", ROW_VERSION, None, "sales", "bills", SESSION, NULLABLE),
    ("SQLGetTypeInfo", ALL_TYPES),
    ("SQLGetTypeInfo", BIGINT),
    ("SQLGetTypeInfo", TIMESTAMP),
    ("SQLProcedures", None, "pg_catalog", "abs"),
    ("SQLProcedureColumns", None, "pg_catalog", "abs", "%"),
    ("SQLTablePrivileges", None, "sales", "bills"),
]

# Each server numbers its relations itself.
OWN = {"TABLE OID"}


class Connection:
    """Calls of one connection; what fails is raised."""

    def __init__(self, target):
        environment = self.made(ENVIRONMENT, None)
        ODBC.SQLSetEnvAttr(environment, ODBC_VERSION, c_void_p(ODBC_3), 0)
        self.connection = self.made(CONNECTION, environment)
        said = ctypes.create_string_buffer(1024)
        to = [target.encode(), c_short(TEXT_ENDS_WITH_0), said, c_short(len(said)), byref(c_short()), c_short(0)]
        self.check(ODBC.SQLDriverConnect(self.connection, None, *to), CONNECTION, self.connection)

    def made(self, kind, parent):
        handle = c_void_p()
        assert ODBC.SQLAllocHandle(c_short(kind), parent, byref(handle)) == SUCCESS, kind
        return handle

    def check(self, done, kind, handle):
        if c_short(done).value in (SUCCESS, SUCCESS_WITH_INFO):
            return
        state, text = ctypes.create_string_buffer(6), ctypes.create_string_buffer(1024)
        ODBC.SQLGetDiagRec(c_short(kind), handle, c_short(1), state, byref(c_int()), text, c_short(1024), byref(c_short()))
        raise AssertionError(f"{state.value.decode()}: {text.value.decode()}")

    def rows(self, function, *arguments):
        """What a function of the catalogue gives: rows, each with its values by column."""
        statement = self.made(STATEMENT, self.connection)
        given = []
        for argument in arguments:
            if isinstance(argument, int):
                given.append(c_short(argument))
            elif argument is None:
                given += [c_char_p(None), c_short(0)]
            else:
                given += [c_char_p(argument.encode()), c_short(TEXT_ENDS_WITH_0)]
        self.check(getattr(ODBC, function)(statement, *given), STATEMENT, statement)
        names, rows = self.names(statement), []
        while c_short(done := ODBC.SQLFetch(statement)).value != NO_DATA:
            self.check(done, STATEMENT, statement)
            rows.append({name: self.value(statement, column) for column, name in enumerate(names, 1)})
        ODBC.SQLFreeHandle(c_short(STATEMENT), statement)
        return rows

    def names(self, statement):
        count, names = c_short(), []
        self.check(ODBC.SQLNumResultCols(statement, byref(count)), STATEMENT, statement)
        for column in range(1, count.value + 1):
            name = ctypes.create_string_buffer(256)
            more = [byref(c_short()), byref(c_short()), byref(c_ulong()), byref(c_short()), byref(c_short())]
            described = ODBC.SQLDescribeCol(statement, c_short(column), name, c_short(len(name)), *more)
            self.check(described, STATEMENT, statement)
            names.append(name.value.decode())
        return names

    def value(self, statement, column):
        text, size = ctypes.create_string_buffer(TEXT_BYTES_MAX), c_long()
        to = [c_short(AS_TEXT), text, c_long(len(text)), byref(size)]
        self.check(ODBC.SQLGetData(statement, c_short(column), *to), STATEMENT, statement)
        return None if size.value == NULL else text.value.decode()


def main():
    driver, *addresses = sys.argv[1:]
    for options in ["UseDeclareFetch=0", "UseDeclareFetch=1;Fetch=2"]:
        login = f"Driver={driver};Uid=sluice;Database=sluice;{options}"
        sluice, postgresql = [
            Connection(f"{login};Server={host};Port={port}") for host, port in (addresses[:2], addresses[2:])
        ]
        for call in CALLS:
            found, expected = [
                [{name: value for name, value in row.items() if name not in OWN} for row in connection.rows(*call)]
                for connection in (sluice, postgresql)
            ]
            only = lambda rows, others: "\n".join(str(row) for row in rows if row not in others)
            told = f"{options}: {call}\nfound\n{only(found, expected)}\nand not\n{only(expected, found)}"
            assert found == expected, told


if __name__ == "__main__":
    main()
