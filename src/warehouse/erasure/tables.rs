//! The tables that a person is in: looked through, rows taken out, files purged.

use super::{found, known_by};
use crate::catalog::definer::Erased;
use crate::catalog::project::{Model, Project};
use crate::catalog::subject::{Told, Whereabouts};
use crate::ingest::decode::CsvLayout;
use crate::lake::{Error, Lake, Reworked, Table, TableName};
use crate::quality::{LOOKED_AT, blotted, set_apart, told, without};
use crate::refresh::{ERASED_FROM, ERASED_ROWS, carry_over, consumed, hidden_tables};
use anyhow::bail;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Tables of the warehouse's own in whose texts a value may stand: statements, errors, rows shown as examples.
const JOURNALS: [&str; 7] =
    ["alert_log", "audit_log", "audits", "incident_log", "ingest_log", "refreshes", "backfill_log"];

/// Schemas of the warehouse's own tables.
const OWN_SCHEMAS: [&str; 2] = ["sluice", "sluice_state"];

/// Which rows are the person's.
type Finds = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send + Sync>;

/// The tables of one erasure.
pub(super) struct Tables {
    lake: Arc<Lake>,
    found: Whereabouts,
    /// How the records of sources are laid out that are CSV.
    layouts: Arc<BTreeMap<String, CsvLayout>>,
    /// The streaming tables, with the streams that they take.
    streaming: Vec<(TableName, Vec<TableName>)>,
    /// Every stored model.
    stored: Vec<TableName>,
    /// Every table that the project defines, and what stands beside it.
    defined: BTreeSet<TableName>,
}

/// A table to be looked through.
struct Place {
    table: Arc<Table>,
    columns: Vec<String>,
    by: String,
    finds: Finds,
    /// Its rows come and go with those of its inputs.
    follows: bool,
}

impl Place {
    async fn count(&self) -> Result<u64, Error> {
        let (table, columns, finds) =
            (Arc::clone(&self.table), self.columns.clone(), Arc::clone(&self.finds));
        blocking(self.table.name(), move || {
            table.count(&columns, &|rows| finds(rows).map(|found| found.true_count()))
        })
        .await
    }
}

impl Tables {
    pub(super) fn of(lake: &Arc<Lake>, project: &Project, found: Whereabouts) -> Self {
        let streaming = project.models.iter().filter_map(|model| match model {
            Model::StreamingTable(table) if table.auto_cdc.is_none() => {
                Some((table.name.clone(), table.query.streams.clone()))
            }
            _ => None,
        });
        let stored = project.models.iter().filter(|model| !matches!(model, Model::View(_)));
        let stored: Vec<TableName> = stored.map(|model| model.name().clone()).collect();
        let tables = project.sources.keys().chain(&stored);
        let beside = |name: &TableName| {
            let files = TableName::new(&name.schema, format!("{}__files", name.name));
            [name.clone(), name.quarantine(), files]
        };
        let defined = tables.flat_map(beside).collect();
        let sources = project.sources.values();
        let layouts =
            sources.filter_map(|source| Some((source.name.to_string(), CsvLayout::of(source)?))).collect();
        let (lake, layouts, streaming) = (Arc::clone(lake), Arc::new(layouts), streaming.collect());
        Self { lake, found, layouts, streaming, stored, defined }
    }

    /// The rows of a person in each table.
    pub(super) async fn look(&self, subject: &str) -> anyhow::Result<Vec<Erased>> {
        let mut looked = vec![];
        for place in self.places(subject).await? {
            looked.push(found(place.table.name(), place.by.clone(), place.count().await?));
        }
        Ok(looked)
    }

    /// Takes the rows out of the tables that say whose they are, and what was set apart.
    pub(super) async fn take_out(&self, subject: &str) -> anyhow::Result<()> {
        let lake = Arc::clone(&self.lake);
        let stored: BTreeSet<String> = self.stored.iter().map(ToString::to_string).collect();
        let clear = move || -> anyhow::Result<()> {
            let unused = hidden_tables(&lake)?.into_iter().filter(|(_, owner)| !stored.contains(owner));
            unused.into_iter().try_for_each(|(table, _)| lake.drop_table(&table))?;
            Ok(lake.clear_dropped()?)
        };
        spawn_blocking(clear).await??;
        for place in self.places(subject).await?.into_iter().filter(|place| !place.follows) {
            let followers = self.streaming_behind(place.table.name()).await?;
            // An earlier try may have ended between the rows and those who are not to miss them.
            self.carry(&place.table, &followers).await?;
            let before = place.table.snapshot().version;
            for follower in &followers {
                if !carry_over(follower, &place.table, (before, before), 0).await? {
                    bail!("{} has not taken all rows of {} yet", follower.name(), place.table.name());
                }
            }
            let (table, finds) = (Arc::clone(&place.table), Arc::clone(&place.finds));
            let columns = place.columns.clone();
            let rework = move || {
                let rework = |rows: &RecordBatch| -> Result<Option<Reworked>, ArrowError> {
                    without(rows, &finds(rows)?)
                };
                let marks = |rows: u64| {
                    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
                    vec![(ERASED_FROM.to_string(), before), (ERASED_ROWS.to_string(), rows)]
                };
                table.rework(&columns, &rework, &marks)
            };
            if let Some(rows) = blocking(place.table.name(), rework).await? {
                tracing::info!(table = %place.table.name(), rows, "rows of a person are taken out");
                self.carry(&place.table, &followers).await?;
            }
        }
        Ok(())
    }

    /// Lets streaming tables go on behind the last erasure.
    async fn carry(&self, table: &Arc<Table>, followers: &[Arc<Table>]) -> anyhow::Result<()> {
        let snapshot = table.snapshot();
        let Some(from) = snapshot.transaction(ERASED_FROM) else { return Ok(()) };
        let rows = snapshot.transaction(ERASED_ROWS).unwrap_or_default();
        for follower in followers {
            if !carry_over(follower, table, (from, from + 1), rows).await? {
                bail!("{} has not taken all rows of {} yet", follower.name(), table.name());
            }
        }
        Ok(())
    }

    /// Deletes every file, of every table that the person was in, that is not needed for the rows that are there now; how
    /// many, by table.
    pub(super) async fn purge(&self, subject: &str) -> anyhow::Result<BTreeMap<String, i64>> {
        let mut files = BTreeMap::new();
        let followers = self.followers().await?;
        for table in self.touched().await? {
            let folded = Arc::clone(&table);
            let version = blocking(table.name(), move || folded.fold_deleted()).await?;
            for follower in &followers {
                let is_streaming = self.streaming.iter().any(|(name, _)| name == follower.name());
                let is_there = carry_over(follower, &table, (version, version), 0).await?;
                if is_streaming && !is_there {
                    bail!("{} has not taken all rows of {} yet", follower.name(), table.name());
                }
            }
            let purged = Arc::clone(&table);
            let went = blocking(table.name(), move || purged.purge()).await?;
            files.insert(table.name().to_string(), i64::try_from(went).unwrap_or(i64::MAX));
        }
        self.blot(subject).await?;
        self.lake.forget_files();
        Ok(files)
    }

    /// Takes the value out of the texts that the warehouse keeps about itself.
    async fn blot(&self, subject: &str) -> anyhow::Result<()> {
        let names = JOURNALS.map(|name| TableName::new("sluice", name));
        for table in self.open(&names).await? {
            let (blotted_table, subject) = (Arc::clone(&table), subject.to_string());
            let blot = move || {
                let blotted = blotted_table.rework(&[], &|rows| blotted(rows, &subject), &|_| vec![])?;
                // An earlier try may have come to the rows and not to the files.
                let is_old = blotted.is_some() || blotted_table.snapshot().version > 0;
                if is_old { blotted_table.purge().map(drop) } else { Ok(()) }
            };
            blocking(table.name(), blot).await?;
        }
        Ok(())
    }

    /// Every table to be looked through, inputs first.
    async fn places(&self, subject: &str) -> anyhow::Result<Vec<Place>> {
        let mut places = vec![];
        for Told { table, columns, follows } in &self.found.tables {
            for table in self.open(std::slice::from_ref(table)).await? {
                let (told_by, subject) = (columns.clone(), subject.to_string());
                places.push(Place {
                    table,
                    columns: columns.clone(),
                    by: known_by(columns),
                    finds: Arc::new(move |rows| told(rows, &told_by, &subject)),
                    follows: *follows,
                });
            }
        }
        for (beside, fields) in &self.found.apart {
            for table in self.open(&[beside.quarantine()]).await? {
                let (fields, subject) = (fields.clone(), subject.to_string());
                let layouts = Arc::clone(&self.layouts);
                places.push(Place {
                    table,
                    columns: LOOKED_AT.map(str::to_string).to_vec(),
                    by: "raw".to_string(),
                    finds: Arc::new(move |rows| set_apart(rows, &fields, &subject, &layouts)),
                    follows: false,
                });
            }
        }
        places.extend(self.left_behind(subject).await?);
        Ok(places)
    }

    /// Tables of an earlier project, which this one does not define any more: they are known by the names of columns, or
    /// else by any value.
    async fn left_behind(&self, subject: &str) -> anyhow::Result<Vec<Place>> {
        let fields: BTreeSet<String> = self.found.apart.values().flatten().cloned().collect();
        let places = self.undefined().await?.into_iter().map(|table| {
            let schema = Arc::clone(&table.snapshot().schema);
            let all = || schema.fields().iter().map(|field| field.name().clone());
            let (subject, of_records) = (subject.to_string(), table.name().name.ends_with("__quarantine"));
            let mut columns: Vec<String> = all().filter(|name| fields.contains(name)).collect();
            if columns.is_empty() {
                columns = all().collect();
            }
            let (told_by, fields) = (columns.clone(), fields.clone());
            let finds: Finds = match of_records {
                true => {
                    let layouts = Arc::clone(&self.layouts);
                    Arc::new(move |rows| set_apart(rows, &fields, &subject, &layouts))
                }
                false => Arc::new(move |rows| told(rows, &told_by, &subject)),
            };
            let by = if of_records { "raw".to_string() } else { known_by(&columns) };
            Place { table, columns, by, finds, follows: false }
        });
        Ok(places.collect())
    }

    /// The tables that the project does not define.
    async fn undefined(&self) -> anyhow::Result<Vec<Arc<Table>>> {
        let (lake, defined) = (Arc::clone(&self.lake), self.defined.clone());
        let undefined = move || -> Result<Vec<Arc<Table>>, Error> {
            let schemas =
                lake.schemas()?.into_iter().filter(|schema| !OWN_SCHEMAS.contains(&schema.as_str()));
            let mut tables = vec![];
            for schema in schemas {
                tables.extend(lake.tables_of(&schema)?);
            }
            tables.retain(|table| !defined.contains(table.name()));
            Ok(tables)
        };
        Ok(spawn_blocking(undefined).await??)
    }

    /// Every table in whose files, log or memory the person may have been, inputs first.
    async fn touched(&self) -> anyhow::Result<Vec<Arc<Table>>> {
        let mut names: Vec<TableName> = vec![];
        let sources = self.found.tables.iter().map(|told| told.table.clone());
        let apart = self.found.apart.keys().map(TableName::quarantine);
        names.extend(sources.chain(apart));
        let (lake, followers) = (Arc::clone(&self.lake), self.found.followers.clone());
        let hidden = spawn_blocking(move || hidden_tables(&lake)).await??;
        for follower in followers {
            let own = hidden.iter().filter(|(_, owner)| *owner == follower.to_string());
            names.extend(own.map(|(name, _)| name.clone()));
            names.push(follower);
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let mut tables = self.open(&names).await?;
        tables.extend(self.undefined().await?);
        Ok(tables)
    }

    /// The streaming tables that take a table's rows.
    async fn streaming_behind(&self, table: &TableName) -> anyhow::Result<Vec<Arc<Table>>> {
        let behind = self.streaming.iter().filter(|(_, streams)| streams.contains(table));
        self.open(&behind.map(|(name, _)| name.clone()).collect::<Vec<_>>()).await
    }

    /// Every table that notes which versions of others it was made of.
    async fn followers(&self) -> anyhow::Result<Vec<Arc<Table>>> {
        let lake = Arc::clone(&self.lake);
        let hidden = spawn_blocking(move || hidden_tables(&lake)).await??;
        let names: Vec<TableName> =
            self.stored.iter().cloned().chain(hidden.into_iter().map(|(name, _)| name)).collect();
        let tables = self.open(&names).await?;
        Ok(tables.into_iter().filter(|table| !consumed(&table.snapshot()).is_empty()).collect())
    }

    /// Those of the tables that there are.
    async fn open(&self, names: &[TableName]) -> anyhow::Result<Vec<Arc<Table>>> {
        let (lake, names) = (Arc::clone(&self.lake), names.to_vec());
        let open = move || {
            names.iter().filter_map(|name| lake.table(name).transpose()).collect::<Result<Vec<_>, _>>()
        };
        Ok(spawn_blocking(open).await??)
    }
}

async fn blocking<T: Send + 'static>(
    table: &TableName,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(Error::Stopped { table: table.clone() }))
}
