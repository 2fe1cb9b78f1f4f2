import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;

/** Reads project `shop` from a Sluice server by the Flight SQL JDBC driver and checks the values: java -cp driver FlightJdbc.java HOST PORT. */
class FlightJdbc {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:arrow-flight-sql://" + arguments[0] + ":" + arguments[1] + "/?useEncryption=false&user=sluice&password=";
        try (Connection connection = DriverManager.getConnection(url)) {
            metadata(connection.getMetaData());
            values(connection);
            parameters(connection);
            manyRows(connection);
            updates(connection);
            refusals(connection);
        }
        catalog(DriverManager.getConnection(url + "&catalog=sluice"));
    }

    /** What the URL says of a catalog becomes an option of the session. */
    static void catalog(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            same(rows(statement.executeQuery("SELECT current_database()")), "sluice");
        }
        try {
            connection.close();
        } catch (SQLException twice) {
            // The driver closes such a session a second time, when its channel is gone.
            same(twice.getMessage(), "Channel shutdown invoked");
        }
    }

    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    /** All rows, a column's values apart by `|`. */
    static String rows(ResultSet found, String... columns) throws SQLException {
        List<String> lines = new ArrayList<>();
        try (ResultSet rows = found) {
            while (rows.next()) {
                List<String> cells = new ArrayList<>();
                for (int i = 1; columns.length == 0 && i <= rows.getMetaData().getColumnCount(); i++) {
                    cells.add(rows.getString(i));
                }
                for (String column : columns) {
                    cells.add(rows.getString(column));
                }
                lines.add(String.join("|", cells));
            }
        }
        return String.join("\n", lines);
    }

    static void metadata(DatabaseMetaData metadata) throws SQLException {
        same(metadata.getDatabaseProductName(), "Sluice");
        same(metadata.getIdentifierQuoteString(), "\"");
        same(rows(metadata.getCatalogs(), "TABLE_CAT"), "sluice");
        same(rows(metadata.getSchemas(null, "gol_"), "TABLE_SCHEM"), "gold");
        same(rows(metadata.getTableTypes()), "MATERIALIZED VIEW\nSYSTEM TABLE\nTABLE\nVIEW");
        same(rows(metadata.getTables(null, "gold", "%", null), "TABLE_NAME", "TABLE_TYPE"),
            "customer_sales|MATERIALIZED VIEW\ndaily_sales|MATERIALIZED VIEW\nopen_orders|VIEW");
        same(rows(metadata.getTables("sluice", "%", "%orders", new String[] {"VIEW"}), "TABLE_SCHEM", "TABLE_NAME"),
            "gold|open_orders");
        ResultSet columns = metadata.getColumns(null, "silver", "orders", "%");
        same(rows(columns, "COLUMN_NAME", "DATA_TYPE", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "ORDINAL_POSITION"),
            "order_id|-5|19|0|0|1\ncustomer_id|-5|19|0|1|2\namount|3|18|2|1|3\nstatus|12|65536|null|1|4\n"
                + "order_date|91|10|0|1|5\nordered_at|2014|26|6|1|6");
        same(rows(metadata.getColumns(null, "silver", "orders", "%date"), "COLUMN_NAME", "TYPE_NAME"), "order_date|date");
        same(rows(metadata.getPrimaryKeys(null, "gold", "customer_sales"), "COLUMN_NAME", "KEY_SEQ"), "");
        same(rows(metadata.getImportedKeys(null, "gold", "customer_sales")), "");
        same(rows(metadata.getExportedKeys(null, "gold", "customer_sales")), "");
    }

    static void values(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery(
                "SELECT order_id, amount, status, order_date, ordered_at, amount::float8 AS f, order_id > 5 AS b,"
                    + " NULL::int AS n, ordered_at::timestamp AS l, '\\x00ff'::bytea AS y, ARRAY[1, NULL, 3] AS a,"
                    + " '01:02:03.5'::time AS t, order_id::int2 AS s FROM silver.orders WHERE order_id = 6");
            same(rows.next(), true);
            same(rows.getLong("order_id"), 6L);
            same(rows.getBigDecimal("amount"), new BigDecimal("1250.00"));
            same(rows.getObject("status"), "open");
            same(rows.getDate("order_date").toString(), "2026-01-01");
            same(rows.getTimestamp("ordered_at").toInstant(), Instant.parse("2026-01-01T10:00:00.125Z"));
            same(rows.getDouble("f"), 1250.0);
            same(rows.getBoolean("b"), true);
            same(rows.getInt("n"), 0);
            same(rows.wasNull(), true);
            same(rows.getTimestamp("l", Calendar.getInstance(TimeZone.getTimeZone("UTC"))).toInstant(),
                Instant.parse("2026-01-01T10:00:00.125Z"));
            same(HexFormat.of().formatHex(rows.getBytes("y")), "00ff");
            same(Arrays.toString((Object[]) rows.getArray("a").getArray()), "[1, null, 3]");
            same(rows.getTime("t").toString(), "01:02:03.500");
            same(rows.getShort("s"), (short) 6);
            ResultSetMetaData columns = rows.getMetaData();
            same(columns.getColumnType(2), Types.DECIMAL);
            same(columns.getPrecision(2), 18);
            same(columns.getScale(2), 2);
            same(columns.getColumnLabel(1), "order_id");
            same(rows.next(), false);
        }
    }

    static void parameters(Connection connection) throws SQLException {
        String typed = "SELECT order_id FROM silver.orders WHERE order_id >= ? AND amount < ? AND order_date = ? AND status = ?"
            // The driver sends a Timestamp's milliseconds as if they were microseconds: as text it arrives.
            + " AND ordered_at < ?::text::timestamptz ORDER BY 1";
        try (PreparedStatement statement = connection.prepareStatement(typed)) {
            same(statement.getParameterMetaData().getParameterCount(), 5);
            same(statement.getMetaData().getColumnName(1), "order_id");
            statement.setLong(1, 2);
            statement.setBigDecimal(2, new BigDecimal("1000.00"));
            statement.setDate(3, java.sql.Date.valueOf("2026-01-01"));
            statement.setString(4, "paid");
            statement.setString(5, "2026-01-03T00:00:00Z");
            same(rows(statement.executeQuery()), "2");
            // The same statement again, with other values.
            statement.setLong(1, 1);
            same(rows(statement.executeQuery()), "1\n2");
            statement.setLong(1, 100);
            same(rows(statement.executeQuery()), "");
        }
        String given = "SELECT ?::int + 1, ?::float8 * 2, ?::text IS NULL, ?::boolean, coalesce(?::bigint, -1), ?::bytea";
        try (PreparedStatement statement = connection.prepareStatement(given)) {
            statement.setInt(1, 41);
            statement.setDouble(2, 1.25);
            statement.setNull(3, Types.VARCHAR);
            statement.setBoolean(4, true);
            statement.setNull(5, Types.BIGINT);
            statement.setBytes(6, new byte[] {1, 2});
            ResultSet rows = statement.executeQuery();
            rows.next();
            same(rows.getInt(1), 42);
            same(rows.getDouble(2), 2.5);
            same(rows.getBoolean(3), true);
            same(rows.getBoolean(4), true);
            same(rows.getLong(5), -1L);
            same(HexFormat.of().formatHex(rows.getBytes(6)), "0102");
        }
    }

    static void manyRows(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery("SELECT n::int8 AS n FROM generate_series(1, 300000) AS t(n)");
            long count = 0, sum = 0;
            for (; rows.next(); count++) {
                sum += rows.getLong(1);
            }
            same(count, 300_000L);
            same(sum, 300_000L * 300_001 / 2);
        }
    }

    /** What gives no rows is an update to the driver, prepared or not. */
    static void updates(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            same(statement.execute("REFRESH TABLE gold.daily_sales"), false);
        }
        try (PreparedStatement prepared = connection.prepareStatement("REFRESH TABLE gold.daily_sales")) {
            same(prepared.executeUpdate(), 0);
        }
    }

    static void refusals(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String[] wrong : new String[][] {
                {"SELEC 1", "42601"}, {"SELECT * FROM gold.nothing", "42P01"}, {"SELECT 1/0", "22012"}, {"DROP TABLE silver.orders", "42501"},
            }) {
                try {
                    rows(statement.executeQuery(wrong[0]));
                    throw new AssertionError(wrong[0] + " was not refused");
                } catch (SQLException refused) {
                    same(String.valueOf(refused.getMessage()).contains(wrong[1]) ? wrong[1] : refused.getMessage(), wrong[1]);
                }
            }
            same(rows(statement.executeQuery("SELECT 1")), "1");
        }
    }
}
