//! What stands between two calls of a client: tickets that wait to be read, prepared statements with their values.
//!
//! Each belongs to the user who made it, is known by a key that cannot be guessed, expires when it is not used and is
//! bounded in number. Failure: 26000 for what is not there (any more) or is another user's.

use super::parameters::Values;
use super::query::Query;
use crate::ops::clock;
use crate::serve::Error;
use crate::serve::shelf::{Shelf, random_key};
use crate::serve::statement::Statement;
use arrow::datatypes::DataType;
use arrow_flight::sql::{Any, ProstMessageExt as _, TicketStatementQuery};
use arrow_flight::{FlightEndpoint, Ticket};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message as _;
use prost_types::Timestamp;
use std::time::Duration;

/// Tickets that wait to be read, at most; the least recently used goes first.
const TICKETS_MAX: usize = 1024;
/// Prepared statements at a time.
const PREPARED_MAX: usize = 1024;
/// How long a prepared statement stays unused.
const PREPARED_IDLE_MAX: Duration = Duration::from_secs(3600);

/// Tickets and prepared statements of all users.
pub(super) struct Statements {
    tickets: Mutex<Shelf<Owned<Query>>>,
    prepared: Mutex<Shelf<Owned<Prepared>>>,
    /// How long a ticket waits; a read begins the wait anew.
    ticket_idle_max: Duration,
}

struct Owned<V> {
    owner: String,
    value: V,
}

/// A statement that waits for values.
#[derive(Clone)]
pub(super) struct Prepared {
    /// What was prepared.
    pub(super) statement: Statement,
    /// Its own words.
    pub(super) text: String,
    /// The types of its parameters.
    pub(super) parameters: Vec<DataType>,
    /// The values bound last, of each run.
    pub(super) values: Vec<Values>,
}

impl Prepared {
    /// A statement with its words, to which nothing is bound.
    pub(super) fn new((statement, text): (Statement, String), parameters: Vec<DataType>) -> Self {
        Self { statement, text, parameters, values: Vec::new() }
    }
}

impl Statements {
    /// None yet.
    pub(super) fn new(ticket_idle_max: Duration) -> Self {
        Self {
            tickets: Mutex::new(Shelf::new(TICKETS_MAX, ticket_idle_max)),
            prepared: Mutex::new(Shelf::new(PREPARED_MAX, PREPARED_IDLE_MAX)),
            ticket_idle_max,
        }
    }

    /// Keeps a query until its ticket is read; the endpoint tells how long.
    pub(super) fn keep(&self, user: &str, query: Query) -> FlightEndpoint {
        let key = random_key();
        let owned = Owned { owner: user.to_string(), value: query };
        self.tickets.lock().put(key.clone(), owned, clock::instant());
        let ticket = TicketStatementQuery { statement_handle: key.into() }.as_any().encode_to_vec();
        let mut endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
        endpoint.expiration_time = Some(expiry(self.ticket_idle_max));
        endpoint
    }

    /// Keeps a ticket for as long again; tells until when.
    pub(super) fn renew(&self, user: &str, ticket: Option<&Ticket>) -> Result<Timestamp, Error> {
        let handle = ticket.and_then(statement_handle).unwrap_or_default();
        self.query(user, &handle).map(|_| expiry(self.ticket_idle_max))
    }

    /// The query of a ticket.
    pub(super) fn query(&self, user: &str, handle: &[u8]) -> Result<Query, Error> {
        match self.tickets.lock().get(handle, clock::instant()) {
            Some(found) if found.owner == user => Ok(found.value.clone()),
            _ => Err(Error::new("26000", "ticket does not exist or has expired")
                .with_hint("Ask for the flight info again.")),
        }
    }

    /// Stops a ticket's query and forgets it; true if it was known.
    pub(super) fn cancel(&self, user: &str, ticket: &Ticket) -> bool {
        let Some(handle) = statement_handle(ticket) else { return false };
        let mut tickets = self.tickets.lock();
        if tickets.get(&handle, clock::instant()).is_none_or(|found| found.owner != user) {
            return false;
        }
        if let Some(found) = tickets.remove(&handle) {
            found.value.cancelled.cancel();
        }
        true
    }

    /// Keeps a statement; its handle goes out.
    pub(super) fn prepare(&self, user: &str, prepared: Prepared) -> Bytes {
        let key = random_key();
        let owned = Owned { owner: user.to_string(), value: prepared };
        self.prepared.lock().put(key.clone(), owned, clock::instant());
        key.into()
    }

    /// A prepared statement.
    pub(super) fn prepared(&self, user: &str, handle: &[u8]) -> Result<Prepared, Error> {
        self.with_prepared(user, handle, |prepared| prepared.clone())
    }

    /// Replaces a prepared statement's values.
    pub(super) fn bind(&self, user: &str, handle: &[u8], values: Vec<Values>) -> Result<(), Error> {
        self.with_prepared(user, handle, |prepared| prepared.values = values)
    }

    /// Forgets a prepared statement; that it is gone already is no error.
    pub(super) fn close(&self, user: &str, handle: &[u8]) {
        let known = self.with_prepared(user, handle, |_| ()).is_ok();
        if known {
            self.prepared.lock().remove(handle);
        }
    }

    fn with_prepared<T>(
        &self,
        user: &str,
        handle: &[u8],
        act: impl FnOnce(&mut Prepared) -> T,
    ) -> Result<T, Error> {
        match self.prepared.lock().get(handle, clock::instant()) {
            Some(found) if found.owner == user => Ok(act(&mut found.value)),
            _ => Err(Error::new("26000", "prepared statement does not exist or has expired")),
        }
    }
}

/// When a ticket expires that is used now.
fn expiry(ticket_idle_max: Duration) -> Timestamp {
    let expires = clock::now() + ticket_idle_max;
    // Whole microseconds: finer ones Python cannot show.
    let nanos = i32::try_from(expires.timestamp_subsec_micros() * 1000).unwrap_or(0);
    Timestamp { seconds: expires.timestamp(), nanos }
}

fn statement_handle(ticket: &Ticket) -> Option<Bytes> {
    let message = Any::decode(&*ticket.ticket).ok()?;
    let ticket: TicketStatementQuery = message.unpack().ok()??;
    Some(ticket.statement_handle)
}
