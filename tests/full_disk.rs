//! A disk that is full: nothing that was taken is lost, senders are held back, and all goes on once there is room.

use crate::alerts::shipped;
use crate::push::push;
use crate::support::http::Http;
use crate::support::{FLOW, Server, Warehouse, needs, trial, until};
use libtest_mimic::Trial;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

pub fn trials() -> Vec<Trial> {
    needs::small_disk(vec![trial("full_disk::holds_back_and_goes_on", holds_back_and_goes_on)])
}

/// Runs the server with its data folder on a disk of its own, seen by nobody else.
const ON_A_SMALL_DISK: &str = "mkdir -p \"$0\" && mount -t tmpfs -o size=48m tmpfs \"$0\" && exec \"$@\"";

/// Records of a push, and the length of each: nine such pushes pass the 64 MiB that may wait.
const RECORDS: usize = 128;
const RECORD_BYTES: usize = 64 << 10;

fn holds_back_and_goes_on() {
    let warehouse = Warehouse::of("events");
    let alerts =
        ["storage_write_errors", "disk_full", "ingest_limit_exceeded"].map(|name| shipped(Some(name)));
    warehouse.write("catalog/alerts.sql", alerts.concat());
    let data = warehouse.data();
    let unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK];
    let outer: Vec<&str> = unshare.into_iter().chain([data.to_str().unwrap()]).collect();
    let server =
        Server::launch_within(&outer, &warehouse, &[]).ready().unwrap_or_else(|end| panic!("{}", end.text()));
    let first = push(&server, "readings", Some(("first", 1)), "{\"sensor\": \"a\", \"value\": 1}").unwrap();
    assert_eq!(first.status, 200, "{first:?}");

    server.wait_until("SELECT count(*) FROM bronze.readings", "1");

    server.wait_until("SELECT bool_and(evaluations > 1), sum(rows) FROM sluice.alerts", "t|0");
    let firing = |alert: &str| {
        let state = format!(
            "SELECT count(*) > 0 FROM sluice.alert_instances WHERE alert = '{alert}' AND state = 'firing'"
        );
        server.wait_until(&state, "t");
    };
    let ballast = fill(&server, &data);
    let body = format!("{{\"sensor\": \"a\", \"value\": 1, \"note\": \"{}\"}}\n", "x".repeat(RECORD_BYTES))
        .repeat(RECORDS);
    let send = |channel: String| -> JoinHandle<u16> {
        let (body, address) = (body.clone(), server.http);
        thread::spawn(move || {
            let headers = [("channel", channel.as_str()), ("token", "1")];
            Http::new(FLOW * 2).post(address, "/ingest/readings", &headers, body).unwrap().status
        })
    };
    let mut waiting = vec![send("sender-0".to_string())];
    server.wait_until(
        "SELECT state, error LIKE '%No space left%' FROM sluice.sources WHERE source = 'bronze.readings'",
        "paused|t",
    );
    // Alerts need no room.
    firing("storage_write_errors");
    firing("disk_full");
    // What stands is answered while nothing can be written.
    assert_eq!(server.query("SELECT count(*) FROM bronze.readings"), "1");
    // Those that wait take up the limit: the next is asked to come again.
    let mut next = 1;
    until("429", FLOW, || {
        waiting.push(send(format!("sender-{next}")));
        next += 1;
        let busy =
            waiting.iter().position(JoinHandle::is_finished).map(|i| waiting.swap_remove(i).join().unwrap());
        match busy {
            Some(429) => Ok(()),
            other => Err(format!("{other:?} after {next} pushes")),
        }
    });

    let limited = "SELECT pushes_limited > 0, last_limited_at IS NOT NULL FROM sluice.sources WHERE source = 'bronze.readings'";
    assert_eq!(server.query(limited), "t|t");
    firing("ingest_limit_exceeded");

    fs::remove_file(ballast).unwrap();
    let mut taken = 0;
    for sender in waiting {
        match sender.join().unwrap() {
            200 => taken += RECORDS,
            status => assert_eq!(status, 429),
        }
    }
    assert!(taken >= RECORDS);
    server.wait_until("SELECT count(*) FROM bronze.readings", &(taken + 1).to_string());
    server.wait_until("SELECT sum(readings) FROM gold.readings_by_sensor", &(taken + 1).to_string());
    server.wait_until("SELECT state FROM sluice.sources WHERE source = 'bronze.readings'", "running");
}

/// Fills the server's disk; gives the file to remove.
fn fill(server: &Server, data: &Path) -> PathBuf {
    // Its namespace's view of the folder.
    let inside = PathBuf::from(format!("/proc/{}/root{}", server.pid(), data.display()));
    let path = inside.join("ballast");
    let mut file = File::create(&path).unwrap();
    let block = vec![0u8; 1 << 20];
    while file.write_all(&block).is_ok() {}
    path
}
