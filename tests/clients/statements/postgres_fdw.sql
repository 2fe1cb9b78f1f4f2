-- What postgres_fdw sends to the server it reads from. Above each statement: the columns that PostgreSQL 15 gives, and their types.

-- = ?column? int4
SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = 'sales';

-- = relname name | attname name | format_type text | attnotnull bool | pg_get_expr text | attgenerated char | collname name | nspname name
SELECT relname,   attname,   format_type(atttypid, atttypmod),   attnotnull,   pg_get_expr(adbin, adrelid),   attgenerated,   collname,   collnsp.nspname FROM pg_class c   JOIN pg_namespace n ON     relnamespace = n.oid   LEFT JOIN pg_attribute a ON     attrelid = c.oid AND attnum > 0       AND NOT attisdropped   LEFT JOIN pg_attrdef ad ON     adrelid = c.oid AND adnum = attnum   LEFT JOIN pg_collation coll ON     coll.oid = attcollation   LEFT JOIN pg_namespace collnsp ON     collnsp.oid = collnamespace WHERE c.relkind IN ('r','v','f','m','p')   AND n.nspname = 'sales' AND NOT c.relispartition  ORDER BY c.relname, a.attnum;
