//! The real `sluice serve`: started on free ports, waited for, queried, stopped, killed.

use super::warehouse::{Finished, Warehouse, command};
use super::{DRAIN, FLOW, Pg, READY, pg, until};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines of the log are shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// A running server. Dropped, it is killed; dropped by a failing test, it shows its log.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// Postgres wire.
    pub pg: SocketAddr,
    /// Flight SQL.
    pub flight: SocketAddr,
    /// HTTP.
    pub http: SocketAddr,
    /// From start to the ready file.
    pub ready_after: Duration,
}

impl Server {
    /// Starts a server and waits until its ready file stands; panics with its output when it does not come.
    pub fn start(warehouse: &Warehouse, flags: &[&str]) -> Self {
        match Self::try_start(warehouse, flags) {
            Ok(server) => server,
            Err(finished) => {
                panic!("the server ended at start, code {:?}:\n{}", finished.code, finished.text())
            }
        }
    }

    /// Starts a server that must refuse to: gives its exit and what it said.
    pub fn refused(warehouse: &Warehouse, flags: &[&str]) -> Finished {
        match Self::try_start(warehouse, flags) {
            Ok(_) => panic!("the server started, although it had to refuse"),
            Err(finished) => finished,
        }
    }

    fn try_start(warehouse: &Warehouse, flags: &[&str]) -> Result<Self, Finished> {
        Self::launch(warehouse, flags).ready()
    }

    /// Starts a server without waiting for it.
    pub fn launch(warehouse: &Warehouse, flags: &[&str]) -> Starting {
        Self::launch_within(&[], warehouse, flags)
    }

    /// As [`Server::launch`], run by another program, which must become the server in the end (`exec`).
    pub fn launch_within(outer: &[&str], warehouse: &Warehouse, flags: &[&str]) -> Starting {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let ready_file = warehouse.folder().join(format!("ready-{unique}"));
        let log = warehouse.folder().join(format!("log-{unique}"));
        let output = File::create(&log).unwrap();
        let mut serve = command();
        let over_production = flags.contains(&"--production");
        serve
            .arg(if over_production { "dev" } else { "serve" })
            .arg("--data")
            .arg(warehouse.data())
            .arg("--ready-file")
            .arg(&ready_file);
        // A test's own flags win: the command line takes each flag once.
        for flag in ["--pg-listen", "--flight-listen", "--http-listen"] {
            if !flags.contains(&flag) {
                serve.args([flag, "127.0.0.1:0"]);
            }
        }
        if !flags.contains(&"--project") {
            serve.arg("--project").arg(warehouse.project());
        }
        serve.args(flags);
        if let Some((program, arguments)) = outer.split_first() {
            let mut wrapped = Command::new(program);
            wrapped.args(arguments).arg(serve.get_program()).args(serve.get_args());
            for (name, _) in serve.get_envs() {
                wrapped.env_remove(name);
            }
            serve = wrapped;
        }
        serve.current_dir(warehouse.folder()).stdin(Stdio::null());
        let start = Instant::now();
        let child = serve.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        Starting { child: Some(child), ready_file, log, start }
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The peak of its resident memory so far, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// A connection as user `sluice`.
    pub fn connect(&self) -> Pg {
        Pg::connect(self.pg, "sluice", None)
            .unwrap_or_else(|error| panic!("connect: {}", pg::describe(&error)))
    }

    /// The answer to one statement, as `psql -A -t` prints it.
    pub fn query(&self, sql: &str) -> String {
        self.connect().text(sql)
    }

    /// Asks until the answer is `expected`; errors count as answers that are not.
    pub fn wait_until(&self, sql: &str, expected: &str) {
        self.wait_until_within(sql, expected, FLOW);
    }

    /// As [`Server::wait_until`], with a deadline of one's own.
    pub fn wait_until_within(&self, sql: &str, expected: &str, deadline: Duration) {
        let mut session: Option<Pg> = None;
        until(&format!("{sql} = {expected:?}"), deadline, || {
            if session.is_none() {
                session = Some(Pg::connect(self.pg, "sluice", None).map_err(|error| pg::describe(&error))?);
            }
            match session.as_ref().unwrap().try_text(sql) {
                Ok(answer) if answer == expected => Ok(()),
                Ok(answer) => Err(answer),
                Err(error) => {
                    session = None;
                    Err(pg::describe(&error))
                }
            }
        });
    }

    /// `kill -9`, and waits until the process is gone.
    pub fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; gives the exit status and how long the stop took. Panics past the drain limit.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal("TERM");
        let status = until("end after SIGTERM", DRAIN, || {
            self.child.try_wait().unwrap().ok_or_else(|| "still running".to_string())
        });
        (status, start.elapsed())
    }

    /// Waits until the process has ended by itself: its exit and what it said.
    pub fn ended(mut self) -> Finished {
        let status = until("end by itself", FLOW, || {
            self.child.try_wait().unwrap().ok_or_else(|| "still running".to_string())
        });
        Finished { code: status.code(), stdout: String::new(), stderr: self.log() }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.child.id())).status().unwrap();
        assert!(status.success());
    }

    /// True while the process runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- the server's log, last {} of {} lines", shown.len(), lines.len());
            eprintln!("{}\n---", shown.join("\n"));
        }
    }
}

/// A server that has been started and may not answer yet. Dropped, it is killed.
pub struct Starting {
    child: Option<Child>,
    ready_file: PathBuf,
    log: PathBuf,
    start: Instant,
}

impl Starting {
    /// Waits until the ready file stands. When the server ends instead, gives its exit and what it said.
    pub fn ready(mut self) -> Result<Server, Finished> {
        let read_log = |log: &PathBuf| fs::read_to_string(log).unwrap_or_default();
        loop {
            let ready = fs::read_to_string(&self.ready_file).ok().filter(|text| text.ends_with('\n'));
            if let Some(ready) = ready {
                let addresses: serde_json::Value = serde_json::from_str(&ready).unwrap();
                let address = |name: &str| {
                    let text = addresses[name].as_str();
                    text.and_then(|text| text.parse().ok())
                        .unwrap_or_else(|| panic!("no address {name:?} in the ready file: {ready}"))
                };
                return Ok(Server {
                    pg: address("pg"),
                    flight: address("flight"),
                    http: address("http"),
                    ready_after: self.start.elapsed(),
                    child: self.child.take().unwrap(),
                    log: self.log.clone(),
                });
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                let stderr = read_log(&self.log);
                return Err(Finished { code: status.code(), stdout: String::new(), stderr });
            }
            assert!(
                self.start.elapsed() < READY,
                "the server was not ready within {READY:?}; it said:\n{}",
                read_log(&self.log)
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9` in the middle of its start.
    pub fn kill9(self) {}
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
