//! A PostgreSQL client for tests: tokio-postgres, driven from ordinary functions.

use super::READY;
use std::net::SocketAddr;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage};

/// One session.
pub struct Pg {
    runtime: Runtime,
    client: Client,
}

impl Pg {
    /// Connects to database `sluice`.
    pub fn connect(address: SocketAddr, user: &str, password: Option<&str>) -> Result<Self, Error> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut config = Config::new();
        config.host(address.ip().to_string()).port(address.port()).user(user).dbname("sluice");
        config.application_name("sluice tests").connect_timeout(READY);
        if let Some(password) = password {
            config.password(password);
        }
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await?;
            // Its error reaches the pending statement too.
            tokio::spawn(async move { connection.await.ok() });
            Ok::<_, Error>(client)
        })?;
        Ok(Self { runtime, client })
    }

    /// The client itself.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a future of this session.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The answer over the simple protocol, as `psql -A -t` prints it: `|` between columns, NULL empty.
    pub fn try_text(&self, sql: &str) -> Result<String, Error> {
        let messages = self.run(self.client.simple_query(sql))?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|i| row.get(i).unwrap_or_default());
                Some(cells.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        Ok(rows.collect::<Vec<_>>().join("\n"))
    }

    /// As [`Pg::try_text`]; panics on errors.
    pub fn text(&self, sql: &str) -> String {
        self.try_text(sql).unwrap_or_else(|error| panic!("{sql}\n  failed: {}", describe(&error)))
    }

    /// The error of a statement that must fail: its SQLSTATE and its message.
    pub fn refusal(&self, sql: &str) -> (String, String) {
        match self.try_text(sql) {
            Ok(answer) => panic!("{sql}\n  had to fail and answered {answer:?}"),
            Err(error) => (code(&error), describe(&error)),
        }
    }
}

/// The SQLSTATE; `no SQLSTATE` when the error did not come from the server.
pub fn code(error: &Error) -> String {
    error.code().map_or_else(|| "no SQLSTATE".to_string(), |code| code.code().to_string())
}

/// Everything the server said about an error.
pub fn describe(error: &Error) -> String {
    match error.as_db_error() {
        Some(db) => format!(
            "{} {}: {}{}{}",
            db.severity(),
            db.code().code(),
            db.message(),
            db.detail().map(|text| format!("; detail: {text}")).unwrap_or_default(),
            db.hint().map(|text| format!("; hint: {text}")).unwrap_or_default(),
        ),
        None => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
}
