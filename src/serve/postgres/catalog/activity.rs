//! `pg_stat_activity`: who is connected and what each does, when it is read and not when it was planned.

use super::data::CatalogRelation;
use super::model::Model;
use super::rows::{Rows, Value};
use crate::catalog::access::Access;
use crate::engine::DATABASE;
use crate::serve::backends::{Doing, OpenSession, Seen, may_see};
use crate::serve::functions::Surroundings;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// What others are told of a statement that is none of their business.
const HIDDEN: &str = "<insufficient privilege>";

/// The view, as one session sees it.
#[derive(Debug)]
pub(super) struct Activities {
    /// Its columns.
    pub(super) shape: &'static CatalogRelation,
    /// What gives roles their numbers.
    pub(super) model: Arc<Model>,
    /// Who looks.
    pub(super) session: Arc<Surroundings>,
}

impl Activities {
    fn rows(&self) -> Rows {
        let (role, access) = (self.session.role(), self.session.access.load());
        let mut rows = Rows::new(self.shape);
        for session in self.session.backends.open() {
            rows.push(self.known(&session).into_iter().chain(activity(&session, &role, &access)));
        }
        rows
    }

    /// What everybody may know.
    fn known(&self, session: &OpenSession) -> Vec<(&'static str, Value)> {
        let role = self.model.roles.iter().find(|role| role.name == session.user);
        vec![
            ("datid", self.model.database_oid.into()),
            ("datname", DATABASE.into()),
            ("pid", session.process_id.into()),
            ("usesysid", role.map(|role| role.oid).into()),
            ("usename", (&session.user).into()),
            ("application_name", (&session.application).into()),
        ]
    }
}

/// What only those may know who have the user's rights.
fn activity(session: &OpenSession, role: &str, access: &Access) -> Vec<(&'static str, Value)> {
    if !may_see(role, &session.user, access) {
        return vec![("query", HIDDEN.into())];
    }
    let Seen { doing, since, query, query_began, transaction_began, .. } = session.seen.clone();
    let address = session.peer.address;
    let is_waiting = doing != Doing::Active;
    let waits = |word: &str| is_waiting.then(|| word.to_string());
    vec![
        ("client_addr", address.map(|address| address.ip().to_canonical().to_string()).into()),
        ("client_port", address.map(|address| i32::from(address.port())).into()),
        ("backend_start", time(Some(session.began))),
        ("xact_start", time(transaction_began)),
        ("query_start", time(query_began)),
        ("state_change", time(since.or(Some(session.began)))),
        ("wait_event_type", waits("Client").into()),
        ("wait_event", waits("ClientRead").into()),
        ("state", doing.as_str().into()),
        ("query", query.into()),
        (
            "backend_type",
            (if session.peer.protocol == "flight" { "flight backend" } else { "client backend" }).into(),
        ),
    ]
}

fn time(at: Option<DateTime<Utc>>) -> Value {
    at.map_or(Value::Null, |at| at.timestamp_micros().into())
}

#[async_trait]
impl TableProvider for Activities {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.arrow)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table = MemTable::try_new(self.schema(), vec![vec![self.rows().finish()?]])?;
        table.scan(state, projection, filters, limit).await
    }
}
