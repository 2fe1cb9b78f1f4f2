import java.math.BigDecimal;
import java.sql.*;
import java.time.*;
import java.util.*;

/** Reads project `shop` from a Sluice server by pgjdbc and checks the values: java -cp pgjdbc Jdbc.java HOST PORT. */
class Jdbc {
    static final String NUMBERS = "SELECT n::int8 AS n, 'row ' || n AS text FROM generate_series(1, 1000) AS t(n) ORDER BY 1";
    static final String ENDLESS = "SELECT count(*) FROM generate_series(1, 2000000) a, generate_series(1, 2000000) b";

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:postgresql://" + arguments[0] + ":" + arguments[1] + "/sluice?sslmode=disable&user=" + System.getenv("PGUSER") + "&password=" + System.getenv("PGPASSWORD");
        for (String mode : List.of("extended", "simple", "extendedForPrepared")) {
            try (Connection connection = DriverManager.getConnection(url + "&preferQueryMode=" + mode)) {
                values(connection);
            }
        }
        try (Connection connection = DriverManager.getConnection(url)) {
            metadata(connection.getMetaData());
            binaryAfterFive(connection);
            steps(connection);
            transactions(connection);
            limits(connection);
            copy(connection);
        }
    }

    /** All rows, the columns' values apart by `|`. */
    static String rows(ResultSet found, String... columns) throws SQLException {
        List<String> lines = new ArrayList<>();
        try (ResultSet rows = found) {
            while (rows.next()) {
                List<String> cells = new ArrayList<>();
                for (String column : columns) {
                    cells.add(rows.getString(column));
                }
                lines.add(String.join("|", cells));
            }
        }
        return String.join("\n", lines);
    }

    static void metadata(DatabaseMetaData metadata) throws SQLException {
        same(metadata.getDatabaseProductName(), "PostgreSQL");
        same(rows(metadata.getCatalogs(), "TABLE_CAT"), "sluice");
        same(rows(metadata.getSchemas(null, "gol_"), "TABLE_SCHEM"), "gold");
        same(rows(metadata.getTables(null, "gold", "%", null), "TABLE_NAME", "TABLE_TYPE", "REMARKS").lines()
            .map(line -> line.substring(0, line.lastIndexOf('|'))).sorted().toList(),
            List.of("customer_sales|MATERIALIZED VIEW", "daily_sales|MATERIALIZED VIEW", "open_orders|VIEW"));
        same(rows(metadata.getColumns(null, "silver", "orders", "%"), "COLUMN_NAME", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "IS_NULLABLE"),
            "order_id|int8|19|0|NO\ncustomer_id|int8|19|0|YES\namount|numeric|18|2|YES\nstatus|text|2147483647|0|YES\n"
                + "order_date|date|13|0|YES\nordered_at|timestamptz|35|6|YES");
        same(rows(metadata.getPrimaryKeys(null, "gold", "customer_sales"), "COLUMN_NAME"), "");
        same(rows(metadata.getImportedKeys(null, "gold", "customer_sales"), "FKCOLUMN_NAME"), "");
        same(rows(metadata.getIndexInfo(null, "silver", "orders", false, true), "INDEX_NAME"), "");
        same(rows(metadata.getTypeInfo(), "TYPE_NAME").lines().filter(List.of("int4", "numeric", "timestamptz")::contains).count(), 3L);
        for (ResultSet rows : List.of(metadata.getFunctions(null, null, "%"), metadata.getTablePrivileges(null, "silver", "orders"),
            metadata.getColumnPrivileges(null, "silver", "orders", "%"), metadata.getClientInfoProperties())) {
            while (rows.next()) {
            }
        }
    }

    static void same(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    static void values(Connection connection) throws SQLException {
        String sql = "SELECT order_id, amount, status, order_date, ordered_at FROM silver.orders WHERE order_id = ? AND status = ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setLong(1, 6);
            statement.setString(2, "open");
            ResultSet rows = statement.executeQuery();
            same(rows.next(), true);
            same(rows.getLong("order_id"), 6L);
            same(rows.getBigDecimal("amount"), new BigDecimal("1250.00"));
            same(rows.getString("status"), "open");
            same(rows.getObject("order_date", LocalDate.class), LocalDate.of(2026, 1, 1));
            same(rows.getObject("ordered_at", OffsetDateTime.class).toInstant(), Instant.parse("2026-01-01T10:00:00.125Z"));
            ResultSetMetaData columns = rows.getMetaData();
            same(columns.getColumnTypeName(2), "numeric");
            same(columns.getPrecision(2), 18);
            same(columns.getScale(2), 2);
            // Asked for by the number of the relation and the column's place in it.
            same(columns.getTableName(2), "orders");
            same(columns.unwrap(org.postgresql.PGResultSetMetaData.class).getBaseSchemaName(2), "silver");
            same(columns.isNullable(1), ResultSetMetaData.columnNoNulls);
            same(columns.isNullable(2), ResultSetMetaData.columnNullable);
            same(rows.next(), false);
        }
        try (PreparedStatement statement = connection.prepareStatement("SELECT ?::int + 1, ?::numeric(20,3), ?::date, ?::text IS NULL")) {
            statement.setInt(1, 41);
            statement.setBigDecimal(2, new BigDecimal("12345678901234567.125"));
            statement.setObject(3, LocalDate.of(2024, 2, 29));
            statement.setNull(4, Types.VARCHAR);
            ResultSet rows = statement.executeQuery();
            rows.next();
            same(rows.getInt(1), 42);
            same(rows.getBigDecimal(2), new BigDecimal("12345678901234567.125"));
            same(rows.getObject(3, LocalDate.class), LocalDate.of(2024, 2, 29));
            same(rows.getBoolean(4), true);
        }
    }

    /** The driver prepares on the server and asks for binary after five executions. */
    static void binaryAfterFive(Connection connection) throws SQLException {
        String sql = "SELECT customer_id, revenue, last_order_at FROM gold.customer_sales WHERE customer_id = ?";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int i = 0; i < 12; i++) {
                statement.setLong(1, 10 + i % 4);
                ResultSet rows = statement.executeQuery();
                same(rows.next(), true);
                same(rows.getLong(1), 10L + i % 4);
                same(rows.getBigDecimal(2).scale(), 2);
            }
        }
        try (Statement statement = connection.createStatement()) {
            ResultSet rows = statement.executeQuery("SELECT tags FROM silver.customers WHERE customer_id = 10");
            rows.next();
            same(List.of((String[]) rows.getArray(1).getArray()), List.of("vip", "early bird"));
        }
    }

    static void steps(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(64);
            ResultSet rows = statement.executeQuery(NUMBERS);
            long count = 0;
            while (rows.next()) {
                same(rows.getLong(1), ++count);
            }
            same(count, 1000L);
            statement.setMaxRows(7);
            rows = statement.executeQuery(NUMBERS);
            for (count = 0; rows.next(); count++) {
            }
            same(count, 7L);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void transactions(Connection connection) throws SQLException {
        connection.setReadOnly(true);
        connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
        same(connection.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.execute("SELECT 1");
            Savepoint savepoint = connection.setSavepoint("here");
            same(state(() -> statement.executeQuery("SELECT 1/0")), "22012");
            same(state(() -> statement.executeQuery("SELECT 1")), "25P02");
            connection.rollback(savepoint);
            same(statement.executeQuery("SELECT 1").next(), true);
            connection.releaseSavepoint(savepoint);
        }
        connection.rollback();
        connection.setAutoCommit(true);
    }

    static void limits(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            same(state(() -> statement.executeQuery(ENDLESS)), "57014");
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("SET statement_timeout = '200ms'");
            same(state(() -> statement.executeQuery(ENDLESS)), "57014");
            statement.execute("RESET statement_timeout");
            same(state(() -> statement.executeQuery("SELECT * FROM gold.nothing")), "42P01");
        }
    }

    static void copy(Connection connection) throws Exception {
        var text = new java.io.StringWriter();
        var copies = connection.unwrap(org.postgresql.PGConnection.class).getCopyAPI();
        same(copies.copyOut("COPY (" + NUMBERS + ") TO STDOUT", text), 1000L);
        same(text.toString().startsWith("1\trow 1\n2\trow 2\n"), true);
    }

    interface Work {
        void run() throws SQLException;
    }

    static String state(Work work) {
        try {
            work.run();
        } catch (SQLException error) {
            return error.getSQLState();
        }
        return "no error";
    }
}
