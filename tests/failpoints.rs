//! kill -9 between any two steps of a commit, a refresh, an epoch, and upkeep; after each, what a server that was never
//! killed has.
//!
//! ```text
//! for each step:  armed server ◄─ batch ─► server that is never killed
//!                 dies at the step
//!                 next server  ◄─ what was not acknowledged
//!                 every table of both alike, VERIFY of each view
//! ```

use crate::push::push;
use crate::support::warehouse::Finished;
use crate::support::{FLOW, Pg, Server, Warehouse, trial, until};
use libtest_mimic::Trial;
use std::fmt::Write as _;
use std::ops::Range;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("failpoints::between_steps_of_ingest", between_steps_of_ingest),
        trial("failpoints::between_steps_of_epochs", between_steps_of_epochs),
        trial("failpoints::between_steps_of_a_view", between_steps_of_a_view),
        trial("failpoints::between_steps_of_a_recompute", between_steps_of_a_recompute),
        trial("failpoints::between_steps_of_upkeep", between_steps_of_upkeep),
        trial("failpoints::every_point_is_reached", every_point_is_reached),
        trial("failpoints::mistakes_are_refused_at_the_start", mistakes_are_refused_at_the_start),
    ]
}

const INGEST: &[&str] = &[
    "bronze.side.committed[bronze.orders__quarantine]=kill",
    "bronze.committed[bronze.orders]=kill",
    "lake.data.written[bronze.orders]=kill",
    "lake.commit.synced[bronze.orders]=kill",
    "lake.commit.linked[bronze.orders]=kill",
    "lake.commit.durable[bronze.orders]=kill",
    "refresh.stream.side.committed[silver.orders]=kill",
    "refresh.stream.committed[silver.orders]=kill",
    "lake.commit.linked[silver.orders__quarantine]=kill",
    "lake.commit.linked[silver.orders]=kill",
];

const EPOCHS: &[&str] = &[
    "refresh.epoch.due=kill",
    "lake.data.written[sluice.epochs]=kill",
    "lake.commit.synced[sluice.epochs]=kill@2",
    "lake.commit.linked[sluice.epochs]=kill",
    "refresh.epoch.committed=kill",
    "refresh.epoch.due=kill@2",
    "refresh.epoch.due=kill@3",
];

const VIEW: &[&str] = &[
    "refresh.hidden.committed[gold.above]=kill",
    "refresh.hidden.committed[gold.above]=kill@2",
    "refresh.view.computed[gold.above]=kill",
    "refresh.view.committed[gold.above]=kill",
    "lake.vectors.written[sluice_state.gold.above.1]=kill",
    "lake.commit.linked[sluice_state.gold.above.1]=kill",
    "lake.vectors.written[silver.customers]=kill",
    "lake.commit.linked[silver.customers]=kill",
    "refresh.view.committed[silver.customers]=kill",
    "refresh.view.committed[gold.lines]=kill",
    "refresh.view.committed[gold.cities]=kill",
    "refresh.hidden.committed[gold.dearest]=kill",
    "refresh.view.committed[gold.running]=kill",
];

const RECOMPUTE: &[&str] = &[
    "refresh.recompute.computed[gold.recomputed]=kill",
    "refresh.recompute.committed[gold.recomputed]=kill",
];

/// Recomputed because someone asks: what is said of hidden tables is forgotten.
const RECOMPUTE_ASKED: &[&str] =
    &["refresh.recompute.computed[gold.above]=kill", "refresh.recompute.committed[gold.above]=kill"];

/// Of any table: forty batches make enough small or much-deleted files.
const FOLDS: &[&str] = &["upkeep.fold.written=kill", "upkeep.fold.committed=kill"];

/// A hundred commits make a checkpoint, which makes their log superfluous.
const CHECKPOINT_WRITTEN: &str = "upkeep.checkpoint.written[bronze.ticks]=kill";
const CHECKPOINT_HINTED: &str = "upkeep.checkpoint.hinted[bronze.ticks]=kill";
const LOG_DELETED: &str = "upkeep.log.deleted[bronze.ticks]=kill";

/// A table whose types have become wider, as `evolution` has it.
pub const REWRITE: &[&str] = &["lake.rewrite.file[bronze.readings]=kill"];

/// A hidden table that no view uses any more, as `evolution` has it.
pub const DROP: &[&str] = &["lake.table.dropped[sluice_state.gold.mean.1]=kill"];

/// Of any table: files that a change has removed.
const FILE_DELETED: &str = "upkeep.file.deleted=kill";

const TIDYING: &[&str] = &[CHECKPOINT_WRITTEN, CHECKPOINT_HINTED, LOG_DELETED, FILE_DELETED];

const VIEWS: &[&str] =
    &["gold.lines", "gold.cities", "gold.above", "gold.dearest", "gold.running", "gold.recomputed"];

/// Every table's columns that do not depend on when things happened.
const TABLES: &[(&str, &str)] = &[
    ("bronze.orders", "order_id, customer_id, quantity, price, _partition, _offset"),
    ("bronze.customers", "customer_id, op, city, updated_at, _partition, _offset"),
    ("bronze.orders__quarantine", "rule, reason, CAST(raw AS TEXT)"),
    ("silver.orders", "order_id, customer_id, quantity, price"),
    ("silver.orders__quarantine", "rule, reason, CAST(raw AS TEXT)"),
    ("silver.customers", "customer_id, city, updated_at, __start_at, __end_at"),
    ("gold.lines", "*"),
    ("gold.cities", "*"),
    ("gold.above", "*"),
    ("gold.dearest", "*"),
    ("gold.running", "*"),
    ("gold.recomputed", "*"),
];

/// Batch `number` of orders and of customers. One order is quarantined in silver, one record in bronze; a few customers
/// move, now and then one goes, and every third change comes late.
fn batch(number: i64) -> [(&'static str, String); 2] {
    let (mut orders, mut customers) = (String::new(), String::new());
    for id in number * 6..number * 6 + 6 {
        let (customer, quantity) = (id * 7 % 11, id % 6 - 1);
        let cents = (id * 7919) % 10_007;
        let price = format!("{}.{:02}", cents / 100, cents % 100);
        writeln!(
            orders,
            "{{\"order_id\": {id}, \"customer_id\": {customer}, \"quantity\": {quantity}, \"price\": {price}}}"
        )
        .unwrap();
    }
    writeln!(orders, "{{\"order_id\": {number}, \"quantity\": \"many\"}}").unwrap();
    // The first batch knows every customer.
    let known = if number == 0 { 0..11 } else { number * 2..number * 2 + 2 };
    for change in known {
        let (customer, city) = (change % 11, (change * 5 + number) % 7);
        let op = if number > 0 && change % 13 == 0 { "D" } else { "U" };
        let minute = if change % 3 == 0 { number * 2 - 3 } else { number * 2 }.max(0);
        writeln!(
            customers,
            "{{\"customer_id\": {customer}, \"op\": \"{op}\", \"city\": \"city {city}\", \
             \"updated_at\": \"2026-01-01T{:02}:{:02}:00Z\"}}",
            minute / 60,
            minute % 60
        )
        .unwrap();
    }
    [("orders", orders), ("customers", customers)]
}

/// A warehouse whose server is killed, and one whose server is not.
struct Twins {
    killed: Warehouse,
    spared: Server,
    _spared: Warehouse,
    /// Batches sent so far.
    sent: i64,
}

impl Twins {
    /// Two warehouses with the first batches, alike.
    fn new() -> Self {
        let (killed, spared) = (Warehouse::of("steps"), Warehouse::of("steps"));
        let (first, second) = (Server::launch(&killed, &[]), Server::launch(&spared, &[]));
        let (server, reference) = (first.ready().unwrap(), second.ready().unwrap());
        let mut twins = Self { killed, spared: reference, _spared: spared, sent: 0 };
        twins.send_on(&server, 3);
        twins.compare(&server, "before any kill");
        server.kill9();
        twins
    }

    /// Sends so many batches to both, which take them.
    fn send_on(&mut self, server: &Server, count: i64) {
        for number in self.sent..self.sent + count {
            take(server, number);
        }
        self.send_to_spared(count);
    }

    /// Lets a server end at a step which `deed` leads to, if its start does not.
    fn strike(&mut self, failpoint: &str, deed: impl FnOnce(&mut Self, &Server)) {
        let armed = format!("SLUICE_FAILPOINTS={failpoint}");
        let ended = match Server::launch_within(&["env", &armed], &self.killed, &[]).ready() {
            Ok(server) => {
                deed(self, &server);
                server.ended()
            }
            Err(ended) => ended,
        };
        let (name, _) = failpoint.split_once(['[', '=']).unwrap();
        assert_eq!(ended.code, None, "{failpoint}: a signal ends it; it said:\n{}", ended.stderr);
        let said = format!("failpoint {name} reached");
        assert!(ended.stderr.contains(&said), "{failpoint}: it said:\n{}", ended.stderr);
    }

    /// Sends batches to a server that dies meanwhile; the next one is sent them again.
    fn strike_at_batches(&mut self, failpoint: &str, count: i64) {
        let first = self.sent;
        self.strike(failpoint, |twins, server| twins.send_until_it_ends(server, count));
        if self.sent == first {
            // It ended at its start, at what the one before had left.
            self.send_to_spared(1);
        }
        self.resume(first, failpoint);
    }

    fn send_until_it_ends(&mut self, server: &Server, count: i64) {
        for _ in 0..count {
            let acknowledged = batch(self.sent).into_iter().all(|(source, body)| {
                push(server, source, Some(("one", self.sent + 1)), &body)
                    .is_ok_and(|reply| reply.status == 200)
            });
            self.send_to_spared(1);
            if !acknowledged {
                return;
            }
        }
    }

    fn send_to_spared(&mut self, count: i64) {
        for number in self.sent..self.sent + count {
            take(&self.spared, number);
        }
        self.sent += count;
    }

    /// The next server takes what was sent from `first` on, and has what it should.
    fn resume(&self, first: i64, when: &str) {
        let server = self.killed.serve();
        (first..self.sent).for_each(|number| take(&server, number));
        self.compare(&server, when);
        server.kill9();
    }

    /// Sends ticks that must be taken; all so far are there, once.
    fn tick_unarmed(&self, ticks: Range<i64>) {
        let server = self.killed.serve();
        let count = ticks.end;
        assert!(tick(&server, ticks));
        let all = format!("{count}|{count}|{}", count * (count - 1) / 2);
        server.wait_until("SELECT count(*), count(DISTINCT tick), sum(tick) FROM bronze.ticks", &all);
        server.kill9();
    }

    /// Waits until all tables are alike, and has each view verified.
    fn compare(&self, server: &Server, when: &str) {
        until(&format!("{when}: what a server has that was never killed"), FLOW, || {
            let (killed, spared) = (server.connect(), self.spared.connect());
            for (table, columns) in TABLES {
                let rows = |session: &Pg| {
                    let text = session.text(&format!("SELECT {columns} FROM {table}"));
                    let mut rows: Vec<_> = text.lines().map(str::to_string).collect();
                    rows.sort_unstable();
                    rows.join("\n")
                };
                let (found, wanted) = (rows(&killed), rows(&spared));
                if found != wanted {
                    return Err(format!("{table} is\n{found}\nand not\n{wanted}"));
                }
            }
            match killed.text("SELECT table_name FROM sluice.freshness WHERE state <> 'fresh'").as_str() {
                "" => Ok(()),
                stale => Err(format!("not fresh: {stale}")),
            }
        });
        let session = server.connect();
        for view in VIEWS {
            let answer = session.text(&format!("VERIFY MATERIALIZED VIEW {view}"));
            assert!(answer.contains("|0|0|equal|"), "{when}: {answer}");
        }
    }
}

/// Sends a batch that must be taken, whether or not it was before.
fn take(server: &Server, number: i64) {
    for (source, body) in batch(number) {
        let reply = push(server, source, Some(("one", number + 1)), &body).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

fn between_steps_of_ingest() {
    let mut twins = Twins::new();
    INGEST.iter().for_each(|step| twins.strike_at_batches(step, 1));
}

fn between_steps_of_epochs() {
    let mut twins = Twins::new();
    EPOCHS.iter().for_each(|step| twins.strike_at_batches(step, 1));
}

fn between_steps_of_a_view() {
    let mut twins = Twins::new();
    assert!(
        twins.killed.data().join("sluice_state/gold.above.2").is_dir(),
        "gold.above has two hidden tables"
    );
    VIEW.iter().for_each(|step| twins.strike_at_batches(step, 1));
}

fn between_steps_of_a_recompute() {
    let mut twins = Twins::new();
    RECOMPUTE.iter().for_each(|step| twins.strike_at_batches(step, 1));
    for step in RECOMPUTE_ASKED {
        twins.strike(step, |_, server| {
            // It ends before it can answer.
            let _ = server.connect().try_text("REFRESH TABLE gold.above FULL");
        });
        // What was forgotten of hidden tables is not gone on from: the next changes are, and the kill before them.
        twins.strike_at_batches("refresh.hidden.committed[gold.above]=kill@2", 1);
    }
}

fn between_steps_of_upkeep() {
    let mut twins = Twins::new();
    FOLDS.iter().for_each(|step| twins.strike_at_batches(step, 40));
    twins.strike_at_batches(FILE_DELETED, 3);
    // Whenever upkeep comes: a server that is not armed never sees a hundred commits since the last checkpoint.
    twins.tick_unarmed(0..90);
    twins.strike(CHECKPOINT_WRITTEN, |_, server| {
        tick(server, 90..120);
    });
    twins.strike(LOG_DELETED, |_, _| {});
    twins.tick_unarmed(90..180);
    twins.strike(CHECKPOINT_HINTED, |_, server| {
        tick(server, 180..230);
    });
    twins.tick_unarmed(180..230);
    twins.resume(twins.sent, "after upkeep was killed");
}

/// Sends ticks, each with a token of its own, until the server does not take them.
fn tick(server: &Server, ticks: Range<i64>) -> bool {
    ticks.into_iter().all(|tick| {
        let sent = push(server, "ticks", Some(("one", tick + 1)), &format!("{{\"tick\": {tick}}}"));
        sent.is_ok_and(|reply| reply.status == 200)
    })
}

/// What a server says that is asked to end at a step which it does not have.
fn refused(failpoints: &str) -> Finished {
    let warehouse = Warehouse::new();
    let armed = format!("SLUICE_FAILPOINTS={failpoints}");
    match Server::launch_within(&["env", &armed], &warehouse, &[]).ready() {
        Ok(_) => panic!("{failpoints}: the server started, although it had to refuse"),
        Err(finished) => finished,
    }
}

fn every_point_is_reached() {
    let said = refused("no.such.point=kill").stderr;
    let known = said.lines().find_map(|line| line.split_once("there are ")).unwrap().1;
    let mut struck: Vec<&str> = [
        INGEST,
        EPOCHS,
        VIEW,
        RECOMPUTE,
        RECOMPUTE_ASKED,
        REWRITE,
        DROP,
        FOLDS,
        TIDYING,
        crate::erasure::STEPS,
    ]
    .concat()
    .into_iter()
    .map(|failpoint| failpoint.split_once(['[', '=']).unwrap().0)
    .collect();
    struck.sort_unstable();
    struck.dedup();
    let mut known: Vec<&str> = known.trim().split(", ").collect();
    known.sort_unstable();
    assert_eq!(struck, known);
}

fn mistakes_are_refused_at_the_start() {
    refused("lake.commit.linked=stop")
        .expect(1, &["SLUICE_FAILPOINTS", "lake.commit.linked=stop", "name[schema.table]"]);
    refused("lake.comit=kill").expect(1, &["SLUICE_FAILPOINTS", "no failpoint \"lake.comit\""]);
}
