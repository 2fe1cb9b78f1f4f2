//! The thin line: sources to bronze, silver, gold and a reader; stop, start, kill.

use crate::support::{DRAIN, READY, Server, Warehouse, trial};
use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("smoke::files_become_gold", files_become_gold),
        trial("smoke::a_new_file_moves_gold", a_new_file_moves_gold),
        trial("smoke::a_file_rewritten_is_a_new_arrival", a_file_rewritten_is_a_new_arrival),
        trial("smoke::generated_events_become_gold", generated_events_become_gold),
        trial("smoke::sigterm_drains_and_exits_0", sigterm_drains_and_exits_0),
        trial("smoke::a_restart_changes_nothing", a_restart_changes_nothing),
        trial("smoke::a_kill_changes_nothing", a_kill_changes_nothing),
        trial("smoke::demo_needs_no_users", demo_needs_no_users),
    ]
}

/// What gold holds once project `shop` is taken whole.
pub const CUSTOMER_SALES: &str =
    "10|Ada|Oslo|2|50.05\n11|Björn \"B\" O'Neil|Malmö|2|49.95\n12|Çelik||1|1250.00\n13||Bergen|1|1.00";
/// The question for it.
pub const CUSTOMER_SALES_SQL: &str =
    "SELECT customer_id, name, city, orders, revenue FROM gold.customer_sales ORDER BY customer_id";

/// Waits until project `shop` is taken and computed.
pub fn wait_for_shop(server: &Server) {
    server.wait_until(CUSTOMER_SALES_SQL, CUSTOMER_SALES);
    server.wait_until("SELECT sum(orders), sum(revenue) FROM gold.daily_sales", "6|1351.00");
}

fn files_become_gold() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    let session = server.connect();
    assert_eq!(session.text("SELECT count(*), count(DISTINCT order_id) FROM bronze.orders"), "8|8");
    assert_eq!(
        session.text("SELECT order_id, status, order_date, ordered_at FROM silver.orders WHERE order_id IN (2, 7, 9) ORDER BY 1"),
        "2|paid|2026-01-01|2026-01-01 09:05:00+00\n\
         7|paid|2026-01-02|2026-01-02 07:00:00+00\n\
         9|paid|2026-01-02|2026-01-02 23:59:59.999999+00"
    );
    assert_eq!(session.text("SELECT * FROM gold.open_orders ORDER BY order_id"), "6|12|1250.00\n8|13|1.00");
    assert_eq!(
        session.text("SELECT order_date, orders, revenue FROM gold.daily_sales ORDER BY 1"),
        "2026-01-01|3|1275.50\n2026-01-02|3|75.50"
    );
}

fn a_new_file_moves_gold() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    warehouse.write(
        "input/orders/2026-01-03.csv",
        "order_id,customer_id,amount,status,ordered_at\n10,13,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    server.wait_until("SELECT orders, revenue FROM gold.customer_sales WHERE customer_id = 13", "2|10.00");
    server
        .wait_until("SELECT orders, revenue FROM gold.daily_sales WHERE order_date = '2026-01-03'", "1|9.00");
}

fn a_file_rewritten_is_a_new_arrival() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    let header = "order_id,customer_id,amount,status,ordered_at\n";
    let path = "input/orders/2026-01-03.csv";
    warehouse.write(path, format!("{header}10,13,9.00,paid,2026-01-03T00:00:00Z\n"));
    server.wait_until("SELECT count(*) FROM bronze.orders", "9");
    warehouse.write(path, format!("{header}11,13,10.00,paid,2026-01-03T00:00:00Z\n"));
    server.wait_until("SELECT count(*), sum(order_id) FROM bronze.orders WHERE order_id >= 10", "2|21");
    // The same content under the same name is not new, whatever its time says.
    warehouse.write(path, format!("{header}11,13,10.00,paid,2026-01-03T00:00:00Z\n"));
    warehouse.write("input/orders/z.csv", format!("{header}12,13,1.00,paid,2026-01-03T00:00:00Z\n"));
    server.wait_until("SELECT count(*), sum(order_id) FROM bronze.orders WHERE order_id >= 10", "3|33");
}

fn generated_events_become_gold() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) >= 500 FROM bronze.sales", "t");
    // A recomputed view joins an epoch when it is done, so it may stand a little behind; what it holds is its query over
    // one version of silver, which positions from 0 without a gap show.
    server.wait_until(
        "SELECT sum(sales) > 0, sum(positions) = sum(sales) * (sum(sales) - 1) / 2 FROM gold.sales_by_store",
        "t|t",
    );
    let taken: u64 = server.query("SELECT count(*) FROM silver.sales").parse().unwrap();
    server.wait_until(&format!("SELECT count(*) > {taken} FROM silver.sales"), "t");
}

fn sigterm_drains_and_exits_0() {
    let warehouse = Warehouse::of("events");
    let server = warehouse.serve();
    server.wait_until("SELECT count(*) > 0 FROM silver.sales", "t");
    let (status, took) = server.terminate();
    assert_eq!(status.code(), Some(0), "an orderly stop exits 0");
    assert!(took < DRAIN, "the stop took {took:?}");
}

fn a_restart_changes_nothing() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    let before = everything(&server);
    assert_eq!(server.terminate().0.code(), Some(0));
    let server = warehouse.serve();
    // What was published before the stop answers at once, not after a first wave.
    assert_eq!(server.query(CUSTOMER_SALES_SQL), CUSTOMER_SALES);
    assert_eq!(everything(&server), before);
    wait_for_a_later_file(&warehouse, &server);
    let rows = server.query("SELECT count(*), count(DISTINCT order_id) FROM bronze.orders");
    assert_eq!(rows, "9|9", "files that were taken before the stop are not taken again");
}

fn a_kill_changes_nothing() {
    let warehouse = Warehouse::of("shop");
    let server = warehouse.serve();
    wait_for_shop(&server);
    let before = everything(&server);
    server.kill9();
    let server = warehouse.serve();
    assert_eq!(everything(&server), before);
    wait_for_a_later_file(&warehouse, &server);
    assert_eq!(server.query("SELECT count(*), count(DISTINCT order_id) FROM bronze.orders"), "9|9");
}

fn demo_needs_no_users() {
    let warehouse = Warehouse::of("shop");
    warehouse.write("catalog/warehouse.toml", "");
    let server = warehouse.serve_with(&["--demo"]);
    server.wait_until_within("SELECT 1", "1", READY);
    assert_eq!(server.query("SELECT current_database(), current_user"), "sluice|sluice");
}

/// Every stored row, with its position and its batch.
fn everything(server: &Server) -> String {
    let session = server.connect();
    [
        "SELECT _partition, _offset, _batch, order_id, amount FROM bronze.orders ORDER BY 1, 2",
        "SELECT _partition, _offset, _batch, customer_id FROM bronze.customers ORDER BY 1, 2",
        "SELECT order_id, customer_id, amount, status FROM silver.orders ORDER BY 1",
        "SELECT order_date, orders, revenue FROM gold.daily_sales ORDER BY 1",
        CUSTOMER_SALES_SQL,
    ]
    .map(|sql| session.text(sql))
    .join("\n\n")
}

/// A file that arrives after a start proves that the folder was scanned again.
fn wait_for_a_later_file(warehouse: &Warehouse, server: &Server) {
    warehouse.write(
        "input/orders/later.csv",
        "order_id,customer_id,amount,status,ordered_at\n99,13,9.00,paid,2026-01-03T00:00:00Z\n",
    );
    server.wait_until("SELECT count(*) FROM silver.orders WHERE order_id = 99", "1");
}
