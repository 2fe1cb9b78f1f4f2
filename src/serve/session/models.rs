//! Statements about models: how one would be refreshed, whether one is right, refresh one now.

use super::{Answer, Session, TransactionStatus};
use crate::bronze::ReplayError;
use crate::catalog::access::Action;
use crate::catalog::cut::{Cut, CutTable, RelationKind};
use crate::catalog::plan::plan_beside;
use crate::lake::TableName;
use crate::refresh::{self, Extent, Refusal, Verified};
use crate::serve::statement::Named;
use crate::serve::{Error, explain, functions};
use crate::sql::{
    self, Definition, MaterializedViewDefinition, hint_did_you_mean, late_view, parse_file, word_origin,
};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The columns that `VERIFY` answers with.
pub(super) fn verify_columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let count = |name| Field::new(name, DataType::Int64, true);
    Arc::new(Schema::new(vec![
        text("model"),
        count("epoch"),
        count("rows"),
        count("missing"),
        count("unexpected"),
        text("verdict"),
        text("examples"),
    ]))
}

impl Session {
    /// `EXPLAIN CREATE MATERIALIZED VIEW ...`: nothing is made.
    pub(super) async fn explain_model(&self, text: &str, deadline: Option<Instant>) -> Result<Answer, Error> {
        let cut = self.cut(deadline).await?;
        let definition = Arc::new(definition(text)?);
        for input in &definition.query.inputs {
            self.check_may(Action::Select(input), input, &cut)?;
        }
        let late = late_view(&definition).map(Arc::new);
        let mut lines = self.explained(definition, &cut).await?;
        if let Some(late) = late {
            lines.push(format!("Late rows to {}", late.name));
            lines.extend(self.explained(late, &cut).await?.into_iter().map(|line| format!("  {line}")));
        }
        one_batch(explain::columns(), vec![Arc::new(StringArray::from(lines))], "EXPLAIN", deadline)
    }

    async fn explained(
        &self,
        definition: Arc<MaterializedViewDefinition>,
        cut: &Arc<Cut>,
    ) -> Result<Vec<String>, Error> {
        if let Some(unknown) = definition.query.inputs.iter().find(|input| !cut.tables.contains_key(*input)) {
            return Err(unknown_input(&definition, unknown, cut));
        }
        let engine = &self.readers.engine;
        let schema = plan_beside(Arc::clone(&definition), cut, engine).await.map_err(first)?;
        Ok(refresh::explain(&definition, &schema, engine, cut).await?)
    }

    /// `VERIFY MATERIALIZED VIEW name`.
    pub(super) async fn verify(&self, name: &Named, deadline: Option<Instant>) -> Result<Answer, Error> {
        let cut = self.cut(deadline).await?;
        let view = self.find(name, &cut)?;
        if view.relation.kind != RelationKind::MaterializedView {
            return Err(wrong_kind(view, "a materialized view"));
        }
        let name = view.relation.name.clone();
        // What differs is shown.
        self.check_may(Action::Maintain(&name), &name, &cut)?;
        self.check_may(Action::Select(&name), &name, &cut)?;
        let Verified { epoch, rows, missing, unexpected, examples } =
            self.readers.control.verify(&name, &cut).await?;
        let verdict = if missing + unexpected == 0 { "equal" } else { "differs" };
        let examples = (!examples.is_empty()).then(|| examples.join("\n"));
        let count = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        let text = |value: Option<String>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let columns = vec![
            text(Some(name.to_string())),
            count(epoch),
            count(rows),
            count(missing),
            count(unexpected),
            text(Some(verdict.to_string())),
            text(examples),
        ];
        one_batch(verify_columns(), columns, "VERIFY MATERIALIZED VIEW", deadline)
    }

    /// `REFRESH TABLE name [FULL]`: done when the session's next statement sees it.
    pub(super) async fn refresh(
        &self,
        name: &Named,
        extent: Extent,
        only_view: bool,
        deadline: Option<Instant>,
    ) -> Result<Answer, Error> {
        if self.transaction_status() != TransactionStatus::Idle {
            return Err(Error::new("25001", "REFRESH cannot run inside a transaction block")
                .with_hint("A transaction sees one cut: COMMIT first."));
        }
        let cut = self.cut(deadline).await?;
        let model = self.find(name, &cut)?;
        match model.relation.kind {
            RelationKind::MaterializedView => {}
            RelationKind::StreamingTable if only_view => {
                return Err(wrong_kind(model, "a materialized view"));
            }
            RelationKind::StreamingTable => {}
            _ => return Err(wrong_kind(model, "a model that is stored")),
        }
        let name = &model.relation.name;
        self.check_may(Action::Maintain(name), name, &cut)?;
        self.readers.control.refresh(name, extent).await?;
        let tag = if only_view { "REFRESH MATERIALIZED VIEW" } else { "REFRESH TABLE" };
        Ok(Answer::Tag(tag.into()))
    }

    /// The relation of a name, looked for along the search path when it has no schema.
    pub(in crate::serve) fn find<'a>(&self, name: &Named, cut: &'a Cut) -> Result<&'a CutTable, Error> {
        let schemas = match &name.schema {
            Some(schema) => vec![schema.clone()],
            None => functions::search_path(&self.surroundings),
        };
        let found = schemas.iter().find_map(|schema| cut.tables.get(&TableName::new(schema, &name.name)));
        found.ok_or_else(|| {
            let shown = match &name.schema {
                Some(schema) => format!("{schema}.{}", name.name),
                None => name.name.clone(),
            };
            Error::new("42P01", format!("relation \"{shown}\" does not exist"))
        })
    }
}

pub(super) fn wrong_kind(table: &CutTable, wanted: &str) -> Error {
    let is = match table.relation.kind {
        RelationKind::Source => "a source's table: it takes rows as they come",
        RelationKind::Foreign => "a table that others write: it is read as it stands",
        RelationKind::StreamingTable => "a streaming table: each input row is taken once",
        RelationKind::MaterializedView => "a materialized view",
        RelationKind::View => "a view: it is computed when it is read",
        RelationKind::System => "a system table",
    };
    Error::new("42809", format!("\"{}\" is not {wanted}", table.relation.name))
        .with_detail(format!("It is {is}."))
}

/// The one materialized view that a text defines.
fn definition(text: &str) -> Result<MaterializedViewDefinition, Error> {
    let mut definitions = parse_file(Path::new(""), text).map_err(first)?;
    match definitions.pop() {
        Some(Definition::MaterializedView(view)) => Ok(view),
        _ => Err(Error::internal("a materialized view was parsed as something else")),
    }
}

fn unknown_input(definition: &MaterializedViewDefinition, input: &TableName, cut: &Cut) -> Error {
    let names: Vec<String> = cut.tables.keys().map(ToString::to_string).collect();
    let hint = hint_did_you_mean(&input.to_string(), names.iter().map(String::as_str));
    let origin = word_origin(&definition.sql, &definition.origin, &input.name);
    let place = origin.map(|origin| (origin.line, origin.column));
    Error { hint, place, ..Error::new("42P01", format!("relation \"{input}\" does not exist")) }
}

/// Clients are told one error at a time.
pub(super) fn first(errors: Vec<sql::Error>) -> Error {
    let Some(error) = errors.into_iter().next() else {
        return Error::internal("a definition was refused without an error");
    };
    let place = Some((error.origin.line, error.origin.column));
    Error { hint: error.hint, place, ..Error::new(error.code, error.message) }
}

pub(super) fn one_batch(
    schema: SchemaRef,
    columns: Vec<ArrayRef>,
    tag: &'static str,
    deadline: Option<Instant>,
) -> Result<Answer, Error> {
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    let rows = futures::stream::iter([Ok(batch)]).boxed();
    Ok(Answer::Rows { schema, rows, tag, deadline })
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::NoModel(_) => Error::new("42P01", message),
            Refusal::Streaming(_) => Error::new("42809", message),
            Refusal::Stopping => Error::new("57P01", message)
                .with_hint("The server stops, or reads a changed project: ask again in a moment."),
            Refusal::NotComputed(_) => {
                Error::new("55000", message).with_hint("REFRESH it first, and see sluice.refreshes.")
            }
            Refusal::Gone { .. } => Error::new("55000", message)
                .with_hint("REFRESH the view with FULL: it is then computed from versions that are there."),
            Refusal::Failed(error) => Error::from(&*error),
        }
    }
}

impl From<refresh::Error> for Error {
    fn from(error: refresh::Error) -> Self {
        Error::from(&error)
    }
}

impl From<&refresh::Error> for Error {
    fn from(error: &refresh::Error) -> Self {
        match error {
            refresh::Error::Query(error) => Error::of_engine(error),
            refresh::Error::Arrow(error) => Error::of_arrow(error),
            refresh::Error::Panicked(_) => Error::internal(error),
            refresh::Error::Lake(error) => Error::new("58030", crate::lake::chain(error)),
            refresh::Error::Backfill { model, .. } => Error::new("0A000", error.to_string())
                .with_hint(format!("REFRESH TABLE {model} FULL makes all of it anew.")),
            refresh::Error::Replay(error) => match error {
                ReplayError::Predicate(error) => Error::of_engine(error),
                ReplayError::Lake(error) => Error::new("58030", crate::lake::chain(error)),
                ReplayError::Source(message) => Error::new("55000", message.clone()),
            },
            refresh::Error::Output(message) => Error::new("22000", message.clone()),
            refresh::Error::ChangesGone { .. } => Error::new("55000", error.to_string())
                .with_hint("REFRESH TABLE ... FULL makes it of the rows that there are."),
            refresh::Error::HistoryLost { model, .. } => Error::new("55000", error.to_string()).with_hint(
                format!("REFRESH TABLE {model} FULL ALLOW HISTORY LOSS makes it of the rows that are left."),
            ),
            refresh::Error::Rejected { message, .. } => Error::new("23514", message.clone()),
            refresh::Error::Waits { input, .. } => Error::new("55000", error.to_string()).with_hint(format!(
                "sluice.refreshes says what was wrong with {input}; {input} and what reads it go on once that is mended."
            )),
            refresh::Error::NotComputed { input, .. } => {
                Error::new("55000", error.to_string()).with_hint(format!("REFRESH TABLE {input} first."))
            }
        }
    }
}
