//! The statements of `sql/`: streaming tables, materialized views, views, comments.

use super::apart::{Named, query_apart};
use super::cdc::auto_cdc;
use super::clauses::trigger;
use super::columns::{ColumnList, Owner as ListOwner, column_list};
use super::cursor::Cursor;
use super::query::model_query;
use super::refusal::{self, refuse};
use super::{
    ColumnDefinition, ColumnTag, CommentDefinition, CommentTarget, Error, Expectation, ForeignKey,
    MaterializedViewDefinition, ModelQuery, Origin, RefreshPolicy, StreamingTableDefinition, Trigger,
    ViewDefinition, ViolationAction,
};
use crate::lake::TableName;
use datafusion::sql::sqlparser::tokenizer::Token;

/// What stands between `CREATE ... TABLE` and the end of a statement, whatever the table's kind.
struct Body {
    name: TableName,
    list: Option<ColumnList>,
    partitioned_by: Vec<String>,
    trigger: Option<Trigger>,
    refresh_policy: Option<RefreshPolicy>,
}

/// `CREATE OR REFRESH STREAMING TABLE ...`, the cursor behind `TABLE`.
pub(super) fn streaming_table(cursor: &mut Cursor<'_>) -> Result<StreamingTableDefinition, Error> {
    let origin = cursor.statement_origin();
    let body = body(cursor, Owner::StreamingTable)?;
    if body.refresh_policy.is_some() {
        return Err(Error::syntax(origin, "a streaming table has no REFRESH POLICY")
            .with_hint("Each of its input rows is taken once: leave the policy out."));
    }
    let (query, auto_cdc) = match cursor.at_word("FLOW") {
        true => {
            let (flow, changes) = auto_cdc(cursor)?;
            (changes, Some(Box::new(flow)))
        }
        false => (query_of(cursor)?, None),
    };
    reject_closing(&query, &origin, "a streaming table takes each row at once")?;
    if query.streams.is_empty() {
        let message = format!("streaming table \"{}\" reads no STREAM", body.name);
        return Err(Error::new("42P16", origin, message).with_hint(
            "Write FROM STREAM schema.table for the input whose rows are taken once each, or make it a materialized view.",
        ));
    }
    let list = Declared::new(body.list)?;
    if auto_cdc.is_some() {
        reject_quarantine(&list)?;
    }
    Ok(StreamingTableDefinition {
        name: body.name,
        columns: list.columns,
        column_names: list.names,
        expectations: list.expectations,
        partitioned_by: body.partitioned_by,
        trigger: body.trigger.unwrap_or_default(),
        primary_key: list.primary_key,
        foreign_keys: list.foreign_keys,
        tags: list.tags,
        query,
        auto_cdc,
        sql: cursor.statement_text().to_string(),
        origin,
    })
}

/// `CREATE MATERIALIZED VIEW ...`, the cursor behind `VIEW`.
pub(super) fn materialized_view(cursor: &mut Cursor<'_>) -> Result<MaterializedViewDefinition, Error> {
    let origin = cursor.statement_origin();
    let body = body(cursor, Owner::View)?;
    let query = query_of(cursor)?;
    reject_streams(&query, &origin, "a materialized view")?;
    if let Some(late) = query.late.as_ref().filter(|late| late.to == body.name) {
        let message = format!("late rows of \"{}\" cannot go to the view itself", late.to);
        return Err(Error::new("42P16", origin, message)
            .with_hint(format!("Name a table for them: LATE ROWS TO {}__late.", body.name)));
    }
    let list = Declared::new(body.list)?;
    let named = match (&list.columns, &list.names) {
        (Some(columns), _) => Named::Columns(columns),
        (None, Some(names)) => Named::Names(names),
        (None, None) => Named::ByQuery,
    };
    let apart = query_apart(&query, named, &list.expectations)?;
    Ok(MaterializedViewDefinition {
        name: body.name,
        columns: list.columns,
        column_names: list.names,
        expectations: list.expectations,
        partitioned_by: body.partitioned_by,
        trigger: body.trigger.unwrap_or_default(),
        primary_key: list.primary_key,
        foreign_keys: list.foreign_keys,
        tags: list.tags,
        refresh_policy: body.refresh_policy.unwrap_or_default(),
        query,
        apart,
        late_of: None,
        apart_of: None,
        sql: cursor.statement_text().to_string(),
        origin,
    })
}

/// `CREATE VIEW ...`, the cursor behind `VIEW`.
pub(super) fn view(cursor: &mut Cursor<'_>) -> Result<ViewDefinition, Error> {
    let origin = cursor.statement_origin();
    let body = body(cursor, Owner::View)?;
    let query = query_of(cursor)?;
    reject_streams(&query, &origin, "a view")?;
    reject_closing(&query, &origin, "a view is computed when it is read")?;
    let stored = body.trigger.is_some() || body.refresh_policy.is_some() || !body.partitioned_by.is_empty();
    let list = Declared::new(body.list)?;
    let keyed = !list.primary_key.is_empty() || !list.foreign_keys.is_empty();
    if stored || keyed || list.columns.is_some() || !list.expectations.is_empty() {
        let message = format!(
            "view \"{}\" is not stored: it has no triggers, partitions, types, keys or expectations",
            body.name
        );
        return Err(Error::syntax(origin, message).with_hint("Make it a CREATE MATERIALIZED VIEW."));
    }
    Ok(ViewDefinition {
        name: body.name,
        column_names: list.names,
        tags: list.tags,
        query,
        sql: cursor.statement_text().to_string(),
        origin,
    })
}

/// Rows that come and go cannot be set apart once and for all.
fn reject_quarantine(list: &Declared) -> Result<(), Error> {
    let sets_apart = |e: &&Expectation| e.action == ViolationAction::QuarantineRow;
    let Some(expectation) = list.expectations.iter().find(sets_apart) else { return Ok(()) };
    let message =
        "QUARANTINE ROW in a table kept by AUTO CDC is not supported: its rows come and go with its inputs";
    Err(Error::unsupported(expectation.origin.clone(), message).with_hint(
        "Write ON VIOLATION DROP ROW here, or QUARANTINE ROW in the streaming table that it reads.",
    ))
}

fn reject_streams(query: &ModelQuery, origin: &Origin, what: &str) -> Result<(), Error> {
    let Some(stream) = query.streams.first() else { return Ok(()) };
    let message = format!("{what} reads whole tables, not STREAM {stream}");
    Err(Error::new("42P16", origin.clone(), message)
        .with_hint("Leave STREAM out, or write CREATE OR REFRESH STREAMING TABLE."))
}

/// What a watermark decides is for materialized views.
fn reject_closing(query: &ModelQuery, origin: &Origin, why: &str) -> Result<(), Error> {
    if query.watermark_of.is_none() {
        return Ok(());
    }
    let clause = if query.late.is_some() { "LATE ROWS TO" } else { "EMIT ON WINDOW CLOSE" };
    Err(Error::new("42P16", origin.clone(), format!("{why}: it has no {clause}"))
        .with_hint("Make it a materialized view."))
}

/// Whose body it is: a streaming table may be a change feed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    StreamingTable,
    View,
}

/// `AS` and the query.
fn query_of(cursor: &mut Cursor<'_>) -> Result<ModelQuery, Error> {
    cursor.expect_words(&["AS"])?;
    model_query(cursor)
}

/// What comes before `AS` or `FLOW AUTO CDC`.
fn body(cursor: &mut Cursor<'_>, owner: Owner) -> Result<Body, Error> {
    super::parser::refuse_if_not_exists(cursor)?;
    let (name, _) = cursor.table_name("a table")?;
    let list = match cursor.peek() {
        Some(Token::LParen) => Some(column_list(cursor, ListOwner::Model)?),
        _ => None,
    };
    let mut partitioned_by: Option<Vec<String>> = None;
    let mut refresh: Option<Trigger> = None;
    let mut refresh_policy: Option<RefreshPolicy> = None;
    while !cursor.at_word("AS") {
        if cursor.at_words(&["FLOW", "AUTO", "CDC"]) {
            if owner == Owner::StreamingTable {
                break;
            }
            return Err(Error::new("42P16", cursor.origin(), "only a streaming table takes FLOW AUTO CDC")
                .with_hint("Write CREATE OR REFRESH STREAMING TABLE."));
        }
        refuse(cursor, refusal::MODEL_CLAUSES)?;
        if partitioned_by.is_none() && cursor.take_words(&["PARTITIONED", "BY"]) {
            partitioned_by = Some(partitions(cursor)?);
        } else if refresh_policy.is_none() && cursor.take_words(&["REFRESH", "POLICY"]) {
            refresh_policy = Some(policy(cursor)?);
        } else if refresh.is_none() && (cursor.at_word("TRIGGER") || cursor.at_word("SCHEDULE")) {
            refresh = trigger(cursor)?;
        } else {
            return Err(cursor.unexpected("AS and the query").with_hint(
                "Before AS may stand, each once, PARTITIONED BY, TRIGGER or SCHEDULE, REFRESH POLICY.",
            ));
        }
    }
    Ok(Body {
        name,
        list,
        partitioned_by: partitioned_by.unwrap_or_default(),
        trigger: refresh,
        refresh_policy,
    })
}

fn partitions(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = vec![];
    for name in cursor.column_list()? {
        if names.contains(&name.text) {
            let message = format!("\"{}\" stands twice in PARTITIONED BY", name.text);
            return Err(Error::new("42701", cursor.source.origin(name.at), message));
        }
        names.push(name.text);
    }
    Ok(names)
}

fn policy(cursor: &mut Cursor<'_>) -> Result<RefreshPolicy, Error> {
    if cursor.take_word("AUTO") {
        Ok(RefreshPolicy::Auto)
    } else if cursor.take_words(&["INCREMENTAL", "STRICT"]) {
        Ok(RefreshPolicy::IncrementalStrict)
    } else if cursor.take_word("INCREMENTAL") {
        Ok(RefreshPolicy::Incremental)
    } else if cursor.take_word("FULL") {
        Ok(RefreshPolicy::Full)
    } else {
        Err(cursor.unexpected("AUTO, INCREMENTAL, INCREMENTAL STRICT or FULL"))
    }
}

/// A column list that is consistent in itself.
#[derive(Default)]
struct Declared {
    columns: Option<Vec<ColumnDefinition>>,
    names: Option<Vec<String>>,
    expectations: Vec<Expectation>,
    primary_key: Vec<String>,
    foreign_keys: Vec<ForeignKey>,
    tags: Vec<ColumnTag>,
}

impl Declared {
    fn new(list: Option<ColumnList>) -> Result<Self, Error> {
        let Some(list) = list else { return Ok(Self::default()) };
        if let (Some(name), false) = (list.names.first(), list.columns.is_empty()) {
            let origin = Origin { file: list.file, line: name.at.line, column: name.at.column };
            return Err(Error::syntax(origin, format!("column \"{}\" has no type", name.text))
                .with_hint("Give every column a type, or none of them."));
        }
        let names: Vec<String> = list.names.into_iter().map(|n| n.text).collect();
        Ok(Self {
            columns: (!list.columns.is_empty()).then_some(list.columns),
            names: (!names.is_empty()).then_some(names),
            expectations: list.expectations,
            primary_key: list.primary_key,
            foreign_keys: list.foreign_keys,
            tags: list.tags,
        })
    }
}

/// `COMMENT ON TABLE schema.name IS '...'` or `COMMENT ON COLUMN schema.table.column IS '...'`
pub(super) fn comment(cursor: &mut Cursor<'_>) -> Result<CommentDefinition, Error> {
    let origin = cursor.statement_origin();
    cursor.expect_words(&["COMMENT", "ON"])?;
    let target = if cursor.take_word("COLUMN") {
        column_target(cursor)?
    } else {
        let kinds: &[&[&str]] =
            &[&["TABLE"], &["VIEW"], &["SOURCE"], &["MATERIALIZED", "VIEW"], &["STREAMING", "TABLE"]];
        if !kinds.iter().any(|words| cursor.take_words(words)) {
            return Err(
                cursor.unexpected("TABLE, VIEW, MATERIALIZED VIEW, STREAMING TABLE, SOURCE or COLUMN")
            );
        }
        CommentTarget::Table(cursor.table_name("a table")?.0)
    };
    cursor.expect_words(&["IS"])?;
    if cursor.at_word("NULL") {
        return Err(Error::unsupported(cursor.origin(), "COMMENT ... IS NULL is not supported")
            .with_hint("Delete the statement: a table without one has no comment."));
    }
    let text = cursor.string("the comment")?;
    cursor.expect_end()?;
    Ok(CommentDefinition { target, text, origin })
}

fn column_target(cursor: &mut Cursor<'_>) -> Result<CommentTarget, Error> {
    let origin = cursor.origin();
    let mut parts = vec![cursor.identifier("a column")?.text];
    while cursor.take(&Token::Period) {
        parts.push(cursor.identifier("a column")?.text);
    }
    match <[String; 3]>::try_from(parts) {
        Ok([schema, table, column]) => Ok(CommentTarget::Column(TableName::new(schema, table), column)),
        Err(_) => Err(Error::syntax(origin, "a column is named by schema, table and column")
            .with_hint("Write COMMENT ON COLUMN silver.orders.amount IS '...'.")),
    }
}
