//! The way from readers to whoever runs the project: what is defined over a connection.
//!
//! Comes in: the changes of a statement, or of a transaction when it commits. Goes out: to the warehouse, which plans
//! them and, once they stand, runs on with them; the answer comes with the first cut in which they are seen.

use super::cut::Relation;
use super::definitions::{Change, Refusal};
use crate::lake::TableName;
use tokio::sync::{mpsc, oneshot};

/// Requests that wait at most; more wait to be sent.
const WAITING_MAX: usize = 64;

/// What becomes of the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// They are planned, and forgotten.
    Check,
    /// They stand from now on.
    Apply,
}

/// Changes that are asked for.
#[derive(Debug)]
pub struct Request {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// Who asks.
    pub user: String,
    /// Whether they are to stand.
    pub purpose: Purpose,
    /// Who waits for the answer.
    pub done: oneshot::Sender<Result<Defined, Refusal>>,
}

/// What changes make of the relations.
#[derive(Clone, Debug, Default)]
pub struct Defined {
    /// Relations that are new, or are not what they were; each with its query.
    pub relations: Vec<Relation>,
    /// Relations that are gone.
    pub gone: Vec<TableName>,
    /// Those among them that went because they could not be planned over what took the place of their input.
    pub lost: Vec<TableName>,
}

/// The way to the warehouse. By default there is none at its end.
#[derive(Clone, Debug)]
pub struct Definer(mpsc::Sender<Request>);

impl Default for Definer {
    fn default() -> Self {
        Self::new().0
    }
}

impl Definer {
    /// A way, and its end.
    pub fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Asks for changes.
    pub async fn ask(&self, changes: Vec<Change>, user: &str, purpose: Purpose) -> Result<Defined, Refusal> {
        let (done, answer) = oneshot::channel();
        let request = Request { changes, user: user.to_string(), purpose, done };
        self.0.send(request).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Refusal {
    let message = "the warehouse is shutting down".to_string();
    Refusal { code: "57P01", message, detail: None, hint: None }
}
