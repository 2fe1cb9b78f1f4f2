//! The way from readers to whoever runs the project: what is defined over a connection, and which files are to run.
//!
//! Comes in: the changes of a statement, or of a transaction when it commits. Goes out: to the warehouse, which plans
//! them and, once they stand, runs on with them; the answer comes with the first cut in which they are seen.

use super::changes::ObjectChange;
use super::cut::Relation;
use super::definitions::{Change, Refusal, TypedName};
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

/// Which files the warehouse is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Those in the project folder.
    Folder,
    /// Those of an earlier deployment, by its number; the one before this one without.
    Earlier(Option<i64>),
}

/// A look at what other files would change, or these files from now on.
#[derive(Debug)]
pub struct Deployment {
    /// Which files.
    pub files: Files,
    /// Who asks.
    pub user: String,
    /// Whether they are to run.
    pub purpose: Purpose,
    /// Who waits for the answer.
    pub done: oneshot::Sender<Result<Vec<PlannedChange>, Refusal>>,
}

/// An object that is not as it was.
#[derive(Clone, Debug)]
pub struct PlannedChange {
    /// What is different about it.
    pub change: ObjectChange,
    /// How many rows it has now, where these are to be computed anew.
    pub stored_rows: Option<u64>,
}

/// A person that is to be in no row, and in no file, any more.
#[derive(Debug)]
pub struct Erasure {
    /// The value that says whose a row is.
    pub subject: String,
    /// The tag of the columns that hold it.
    pub tag: String,
    /// Who asks.
    pub user: String,
    /// Whether it is to be done, or only looked at.
    pub purpose: Purpose,
    /// Who waits for the answer.
    pub done: oneshot::Sender<Result<Vec<Erased>, Refusal>>,
}

/// What an erasure comes to in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// The erasure; empty when it was only looked at.
    pub id: String,
    /// The table.
    pub table: String,
    /// How it is known there whose a row is.
    pub by: String,
    /// Rows of the person that there were.
    pub rows: i64,
    /// Files that went.
    pub files: i64,
    /// None of their rows is left.
    pub verified: bool,
}

/// What comes out at the warehouse's end.
#[derive(Debug)]
pub enum Asked {
    /// A person is to be erased.
    Erasure(Erasure),
    /// Something is defined over a connection.
    Definition(Request),
    /// Files are to be looked at, or to be run.
    Deployment(Deployment),
}

/// What changes make of the relations.
#[derive(Clone, Debug, Default)]
pub struct Defined {
    /// Relations that are new, or are not what they were; each with its query.
    pub relations: Vec<Relation>,
    /// Relations that are gone.
    pub gone: Vec<TableName>,
    /// What went because it could not be planned over what took the place of its input.
    pub lost: Vec<TypedName>,
    /// Warnings, each with the position of the change that it is about.
    pub notices: Vec<(usize, Refusal)>,
}

/// The way to the warehouse. By default there is none at its end.
#[derive(Clone, Debug)]
pub struct Definer(mpsc::Sender<Asked>);

impl Default for Definer {
    fn default() -> Self {
        Self::new().0
    }
}

impl Definer {
    /// A way, and its end.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), receiver)
    }

    /// Asks for changes.
    pub async fn ask(&self, changes: Vec<Change>, user: &str, purpose: Purpose) -> Result<Defined, Refusal> {
        let (done, answer) = oneshot::channel();
        let request = Request { changes, user: user.to_string(), purpose, done };
        self.0.send(Asked::Definition(request)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Asks what other files would change, or for them to be run.
    pub async fn deploy(
        &self,
        files: Files,
        user: &str,
        purpose: Purpose,
    ) -> Result<Vec<PlannedChange>, Refusal> {
        let (done, answer) = oneshot::channel();
        let deployment = Deployment { files, user: user.to_string(), purpose, done };
        self.0.send(Asked::Deployment(deployment)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// Asks for a person to be erased; answered when nothing of them is left.
    pub async fn erase(
        &self,
        (subject, tag): (&str, &str),
        user: &str,
        purpose: Purpose,
    ) -> Result<Vec<Erased>, Refusal> {
        let (done, answer) = oneshot::channel();
        let (subject, tag, user) = (subject.to_string(), tag.to_string(), user.to_string());
        let erasure = Erasure { subject, tag, user, purpose, done };
        self.0.send(Asked::Erasure(erasure)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }
}

fn stopping() -> Refusal {
    let message = "the warehouse is shutting down".to_string();
    Refusal { code: "57P01", message, detail: None, hint: None }
}
