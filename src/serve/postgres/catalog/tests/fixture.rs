//! A warehouse of a few relations, and a session on it.

use crate::catalog::access::access_of;
use crate::catalog::cut::{Cut, CutTable, Freshness, Relation, RelationKind};
use crate::catalog::definer::Definer;
use crate::config::{LimitSettings, UserSettings};
use crate::engine::Engine;
use crate::lake::TableName;
use crate::ops::shutdown::Shutdown;
use crate::refresh::Control;
use crate::serve::postgres::catalog::model::Model;
use crate::serve::session::{Answer, Session};
use crate::serve::{Error, Readers, statement};
use crate::sql::{ForeignKey, Origin};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{DateTime, Utc};
use datafusion::catalog::MemTable;
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::watch;

/// Memory of the test's engine.
const MEMORY_BYTES: usize = 256 << 20;

fn relation(name: &str, kind: RelationKind, fields: Vec<Field>) -> Relation {
    Relation {
        name: TableName::new("sales", name),
        kind,
        schema: Arc::new(Schema::new(fields)),
        comment: None,
        column_comments: HashMap::new(),
        primary_key: vec![],
        foreign_keys: vec![],
        query: None,
    }
}

/// sales.orders as the captured statements know it, a view, a materialized view with a key, and a system table.
pub fn cut() -> Arc<Cut> {
    let mut orders = relation(
        "orders",
        RelationKind::Source,
        vec![
            Field::new("id", DataType::Int64, true),
            Field::new("customer_id", DataType::Int64, true),
            Field::new("amount", DataType::Decimal128(18, 2), true),
            Field::new("qty", DataType::Int32, true),
            Field::new("d", DataType::Date32, true),
            Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("tags", DataType::new_list(DataType::Utf8, true), true),
            Field::new("ok", DataType::Boolean, true),
            Field::new("f", DataType::Float64, true),
            Field::new("u", DataType::Utf8, true),
        ],
    );
    orders.primary_key = vec!["id".to_string()];
    orders.comment = Some("what was ordered".to_string());
    orders.column_comments = HashMap::from([("qty".to_string(), "pieces".to_string())]);
    let mut view = relation("v", RelationKind::View, vec![Field::new("id", DataType::Int64, true)]);
    view.query = Some("SELECT id FROM sales.orders".to_string());
    let mut model = relation(
        "daily",
        RelationKind::MaterializedView,
        vec![
            Field::new("d", DataType::Date32, false),
            Field::new("total", DataType::Decimal128(28, 2), true),
            Field::new("first_order", DataType::Int64, true),
        ],
    );
    model.primary_key = vec!["d".to_string()];
    model.foreign_keys = vec![ForeignKey {
        name: None,
        columns: vec!["first_order".to_string()],
        table: TableName::new("sales", "orders"),
        referenced: vec![],
        origin: Origin::default(),
    }];
    model.query = Some("SELECT d, sum(amount) AS total FROM sales.orders GROUP BY d".to_string());
    let mut system =
        relation("epochs", RelationKind::System, vec![Field::new("epoch", DataType::Int64, false)]);
    system.name = TableName::new("sluice", "epochs");
    let tables = [orders, view, model, system]
        .into_iter()
        .map(|relation| {
            let provider = (relation.kind != RelationKind::View).then(|| {
                let empty = vec![vec![RecordBatch::new_empty(Arc::clone(&relation.schema))]];
                Arc::new(MemTable::try_new(Arc::clone(&relation.schema), empty).unwrap()) as _
            });
            let table = CutTable {
                relation: Arc::new(relation),
                version: 1,
                freshness: Freshness::Fresh,
                provider,
                computed: None,
            };
            (table.relation.name.clone(), table)
        })
        .collect();
    Arc::new(Cut { epoch: 7, wave_time: DateTime::<Utc>::UNIX_EPOCH, tables, shape: 1 })
}

pub struct Warehouse {
    session: Session,
    model: Model,
    /// Keeps the cut published.
    _cuts: watch::Sender<Arc<Cut>>,
}

pub async fn warehouse(search_path: &str) -> Warehouse {
    let (sender, cuts) = watch::channel(cut());
    let user = || UserSettings { verifier: None, trust_loopback: true, may_define: false };
    let users = BTreeMap::from(["anna", "sluice"].map(|name| (name.to_string(), user())));
    let model = Model::new(&cut(), &Arc::new(access_of(&users, Default::default())), "anna");
    let readers = Readers {
        cuts,
        engine: Engine::new(MEMORY_BYTES, 1).unwrap(),
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
        limits: LimitSettings::default(),
        inboxes: Arc::default(),
        control: Control::default(),
        definer: Definer::default(),
        audit: Default::default(),
        backends: Arc::default(),
        shutdown: Shutdown::new(),
    };
    let warehouse =
        Warehouse { session: Session::new(readers, "anna", Default::default()), model, _cuts: sender };
    warehouse.run(&format!("SET search_path = {search_path}")).await.unwrap();
    warehouse
}

impl Warehouse {
    /// Runs statements; gives the rows of the last one as `a|b|c`, NULL as nothing.
    pub async fn run(&self, sql: &str) -> Result<Vec<String>, Error> {
        let mut lines = vec![];
        for statement in statement::parse(sql)? {
            let prepared = self.session.prepare(statement, &[]).await?;
            if let Answer::Rows { mut rows, .. } = self.session.execute(&prepared, vec![]).await? {
                lines.clear();
                while let Some(batch) = rows.next().await {
                    lines.extend(printed(&batch?));
                }
            }
        }
        Ok(lines)
    }

    pub fn oid(&self, schema: &str, name: &str) -> i32 {
        self.model.class_named(&TableName::new(schema, name)).unwrap().oid
    }
}

fn printed(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default();
    // Of a `reg*` value the name, as clients that read text get it.
    let shown = batch.columns().iter().map(|c| c.as_struct_opt().map_or(c, |both| both.column(1)));
    let columns: Vec<_> = shown.map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
    let row = |row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}
