#!/usr/bin/env python3
"""Finds the keys that models declare by SQLAlchemy's reflection.

    python3 keys.py HOST PORT
"""

import sys
import sqlalchemy as sa

inspector = sa.inspect(sa.create_engine(f"postgresql+psycopg2://sluice@{sys.argv[1]}:{sys.argv[2]}/sluice"))
primary = inspector.get_pk_constraint("bills", schema="sales")
assert (primary["name"], primary["constrained_columns"]) == ("bills_pkey", ["id"]), primary
[foreign] = inspector.get_foreign_keys("bills", schema="sales")
found = [foreign[part] for part in ("name", "constrained_columns", "referred_schema", "referred_table", "referred_columns")]
assert found == ["bills_customer_id_fkey", ["customer_id"], "sales", "customers", ["id"]], foreign
table = sa.Table("bills", sa.MetaData(), autoload_with=inspector.engine, schema="sales")
assert [column.name for column in table.primary_key] == ["id"], table.primary_key
assert {key.target_fullname for key in table.foreign_keys} == {"sales.customers.id"}, table.foreign_keys
