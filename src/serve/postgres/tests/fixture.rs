//! A listener over a small warehouse in memory.

use crate::catalog::access::access_of;
use crate::catalog::cut::{Cut, CutTable, Freshness, Relation, RelationKind};
use crate::catalog::definer::Definer;
use crate::config::{LimitSettings, UserSettings};
use crate::engine::Engine;
use crate::lake::TableName;
use crate::ops::clock;
use crate::ops::shutdown::Shutdown;
use crate::refresh::Control;
use crate::serve::users::verifier;
use crate::serve::{Readers, postgres};
use arrow::array::*;
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

/// A running listener.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) cuts: watch::Sender<Arc<Cut>>,
    pub(super) shutdown: Shutdown,
    pub(super) ended: JoinHandle<()>,
}

impl Server {
    /// User `sluice` is trusted, user `ann` has the password `pencil`.
    pub(super) async fn start(limits: LimitSettings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, cuts) = watch::channel(cut(1, 3));
        let users = [
            ("sluice".to_string(), UserSettings { verifier: None, trust_loopback: true, may_define: false }),
            (
                "ann".to_string(),
                UserSettings { verifier: Some(verifier("pencil")), trust_loopback: false, may_define: false },
            ),
        ];
        let shutdown = Shutdown::new();
        let users = BTreeMap::from(users);
        let readers = Readers {
            cuts,
            engine: Engine::new(64 << 20, 2).unwrap(),
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
            shutdown: shutdown.clone(),
        };
        let ended = tokio::spawn(postgres::listen(listener, readers));
        Self { address, cuts: sender, shutdown, ended }
    }

    pub(super) async fn default() -> Self {
        Self::start(LimitSettings::default()).await
    }

    /// A connection string.
    pub(super) fn config(&self, rest: &str) -> String {
        format!("host={} port={} {rest}", self.address.ip(), self.address.port())
    }

    pub(super) async fn connect(&self) -> Client {
        self.try_connect("user=sluice").await.unwrap()
    }

    pub(super) async fn try_connect(&self, rest: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.config(rest), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// What psql prints for a script, errors included; `None` where there is no psql.
    pub(super) async fn psql(&self, script: &str) -> Option<String> {
        let run = tokio::process::Command::new("psql")
            .args(["-X", "-A", "-v", "VERBOSITY=verbose", "-d", &self.config("user=sluice"), "-c", script])
            .env("PGCLIENTENCODING", "UTF8")
            .output()
            .await;
        let Ok(output) = run else {
            eprintln!("skipped: psql is not installed");
            return None;
        };
        Some(String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    }
}

/// The code and message of a database error.
pub(super) fn code(error: &tokio_postgres::Error) -> (String, String) {
    let error = error.as_db_error().unwrap_or_else(|| panic!("not from the database: {error}"));
    (error.code().code().to_string(), error.message().to_string())
}

/// `gold.sales` with `rows` rows of every type, the view `silver.names` over it.
pub(super) fn cut(epoch: i64, rows: i64) -> Arc<Cut> {
    let n = 0..rows;
    let some = |n: i64| n != 1;
    let mut tags = ListBuilder::new(StringBuilder::new());
    for i in n.clone() {
        tags.values().append_value(format!("t{i}"));
        tags.values().append_null();
        tags.append(some(i));
    }
    let column = |name: &str, array: ArrayRef| (name.to_string(), array);
    let columns = vec![
        column("id", Arc::new(Int64Array::from_iter_values(n.clone()))),
        column(
            "amount",
            Arc::new(
                n.clone()
                    .map(|i| some(i).then_some(i128::from(i) * 1050))
                    .collect::<Decimal128Array>()
                    .with_precision_and_scale(18, 2)
                    .unwrap(),
            ),
        ),
        column("qty", Arc::new(n.clone().map(|i| some(i).then_some(i as i32)).collect::<Int32Array>())),
        column(
            "d",
            Arc::new(n.clone().map(|i| some(i).then_some(19_782 + i as i32)).collect::<Date32Array>()),
        ),
        column(
            "ts",
            Arc::new(
                n.clone()
                    .map(|i| some(i).then_some(1_709_210_096_000_000 + i))
                    .collect::<TimestampMicrosecondArray>(),
            ),
        ),
        column(
            "tz",
            Arc::new(
                n.clone()
                    .map(|i| some(i).then_some(1_709_210_096_000_000))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
        ),
        column("tags", Arc::new(tags.finish())),
        column("ok", Arc::new(n.clone().map(|i| some(i).then_some(i == 0)).collect::<BooleanArray>())),
        column("f", Arc::new(n.clone().map(|i| some(i).then_some(i as f64 / 4.0)).collect::<Float64Array>())),
        column(
            "u",
            Arc::new(n.clone().map(|i| some(i).then(|| format!("name {i}"))).collect::<StringViewArray>()),
        ),
        column("b", Arc::new(n.clone().map(|i| some(i).then_some([i as u8, 255])).collect::<BinaryArray>())),
    ];
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    assert_eq!(fields[9].data_type(), &DataType::Utf8View);
    let schema = Arc::new(arrow::datatypes::Schema::new(fields));
    let batch =
        RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, array)| array).collect()).unwrap();
    let relation = |schema_name: &str, name: &str, kind, query: Option<&str>| {
        Arc::new(Relation {
            name: TableName::new(schema_name, name),
            kind,
            schema: schema.clone(),
            comment: None,
            column_comments: HashMap::new(),
            primary_key: vec![],
            foreign_keys: vec![],
            query: query.map(str::to_string),
        })
    };
    let sales = CutTable {
        relation: relation("gold", "sales", RelationKind::MaterializedView, None),
        version: epoch,
        freshness: Freshness::Fresh,
        provider: Some(Arc::new(MemTable::try_new(schema.clone(), vec![vec![batch]]).unwrap())),
        computed: None,
    };
    let names = CutTable {
        relation: relation("silver", "names", RelationKind::View, Some("SELECT id, u FROM gold.sales")),
        version: 0,
        freshness: Freshness::Fresh,
        provider: None,
        computed: None,
    };
    let tables = [sales, names].map(|table| (table.relation.name.clone(), table));
    Arc::new(Cut { epoch, wave_time: clock::now(), tables: BTreeMap::from(tables), shape: 1 })
}
