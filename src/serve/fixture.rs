//! A small warehouse in memory, for the tests of the protocols.

use super::Readers;
use super::users::verifier;
use crate::catalog::access::access_of;
use crate::catalog::cut::{Cut, CutTable, Freshness, Relation, RelationKind};
use crate::catalog::definer::Definer;
use crate::config::{LimitSettings, UserSettings};
use crate::engine::Engine;
use crate::lake::TableName;
use crate::ops::clock;
use crate::ops::shutdown::Shutdown;
use crate::refresh::Control;
use crate::sql::{ForeignKey, Origin};
use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::watch;

/// `gold.days(day, visits)` with a key and comments, `silver.names(name)` as a view over it.
pub(crate) fn cut(epoch: i64, rows: i64) -> Arc<Cut> {
    let days: StringViewArray = (0..rows).map(|n| Some(format!("day number {n} of the calendar"))).collect();
    let visits = Int64Array::from_iter_values(0..rows);
    let batch = RecordBatch::try_from_iter([
        ("day", Arc::new(days) as ArrayRef),
        ("visits", Arc::new(visits) as ArrayRef),
    ])
    .unwrap();
    let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).unwrap();
    let relation = |schema: &str, name: &str, kind, query: Option<&str>| Relation {
        name: TableName::new(schema, name),
        kind,
        schema: batch.schema(),
        comment: None,
        column_comments: HashMap::from([("visits".to_string(), "how many came".to_string())]),
        primary_key: if query.is_none() { vec!["day".to_string()] } else { Vec::new() },
        foreign_keys: if query.is_none() { vec![next_day()] } else { Vec::new() },
        query: query.map(str::to_string),
    };
    let days = CutTable {
        relation: Arc::new(relation("gold", "days", RelationKind::MaterializedView, None)),
        version: epoch,
        freshness: Freshness::Fresh,
        provider: Some(Arc::new(table)),
        computed: None,
    };
    let names = CutTable {
        relation: Arc::new(relation("silver", "names", RelationKind::View, Some("SELECT * FROM gold.days"))),
        version: 0,
        freshness: Freshness::Fresh,
        provider: None,
        computed: None,
    };
    let tables = [days, names].map(|t| (t.relation.name.clone(), t));
    Arc::new(Cut { epoch, wave_time: clock::now(), tables: BTreeMap::from(tables), shape: 1 })
}

/// A day refers to another day.
fn next_day() -> ForeignKey {
    ForeignKey {
        name: None,
        columns: vec!["visits".to_string()],
        table: TableName::new("gold", "days"),
        referenced: Vec::new(),
        origin: Origin::default(),
    }
}

/// Readers of [`cut`] 1 with 1000 rows. User `sluice` has no password, user `ana` has `pencil`.
pub(crate) fn readers(limits: LimitSettings, trust_loopback: bool) -> (Readers, watch::Sender<Arc<Cut>>) {
    let (sender, cuts) = watch::channel(cut(1, 1000));
    let users = [
        ("sluice".to_string(), UserSettings { verifier: None, trust_loopback, may_define: false }),
        (
            "ana".to_string(),
            UserSettings { verifier: Some(verifier("pencil")), trust_loopback: false, may_define: false },
        ),
    ];
    let users: BTreeMap<_, _> = users.into_iter().collect();
    let readers = Readers {
        cuts,
        engine: Engine::new(256 << 20, 2).unwrap(),
        access: Arc::new(arc_swap::ArcSwap::from_pointee(access_of(&users, Default::default()))),
        logins: Arc::new(crate::serve::logins::Logins::new(
            Arc::new(users.clone()),
            Arc::default(),
            Arc::default(),
        )),
        users: Arc::new(users),
        catalogs: Arc::default(),
        plans: Arc::default(),
        tls: None,
        limits,
        inboxes: Arc::default(),
        control: Control::default(),
        definer: Definer::default(),
        audit: Default::default(),
        backends: Arc::default(),
        shutdown: Shutdown::new(),
    };
    (readers, sender)
}
