//! The extended protocol: statements parsed once, bound to values, executed some rows at a time.

use super::connection::{Talk, error_in, located, stopped, tag_of, within};
use super::decode;
use super::encode::Format;
use super::frame::{Broken, Target};
use super::rows::{self, Rows};
use super::types;
use crate::serve::Error;
use crate::serve::datetime::Reading;
use crate::serve::session::{Answer, Prepared};
use crate::serve::statement::{self, Statement};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;
use std::sync::Arc;

/// Portals of one connection.
const PORTALS_MAX: usize = 1_000;

/// A statement bound to values.
pub(super) struct Portal {
    prepared: Arc<Prepared>,
    /// The columns of its rows; `None` if it gives none.
    columns: Option<SchemaRef>,
    formats: Vec<Format>,
    state: PortalState,
}

enum PortalState {
    /// Waits for its first `Execute`.
    Bound(Vec<ScalarValue>),
    /// Has more rows.
    Suspended { rows: Rows, tag: &'static str },
    /// Is the session's cursor of the same name, for `FETCH`, `MOVE` and `CLOSE` to see.
    Cursor,
    /// Has sent everything.
    Done,
}

impl Portal {
    fn is_cursor(&self) -> bool {
        matches!(self.state, PortalState::Cursor)
    }
}

impl Talk<'_> {
    /// `Parse`.
    pub(super) async fn parse(&mut self, name: String, sql: &str, declared: &[u32]) -> Result<(), Broken> {
        let mut statements = statement::parse(sql)?;
        if statements.len() > 1 {
            return Err(
                Error::new("42601", "cannot insert multiple commands into a prepared statement").into()
            );
        }
        let statement = statements.pop().unwrap_or(Statement::Empty);
        let known = declared.iter().map(|oid| types::parameter_type(*oid)).collect::<Result<Vec<_>, _>>()?;
        let session = &self.session;
        let audited = session.audited(&statement, sql);
        let preparing = async { session.prepare(statement, &known).await.map_err(Broken::from) };
        let prepared = within(session.deadline(), preparing).await;
        match &prepared {
            // It is noted when it is executed.
            Ok(_) => audited.forget(),
            failed => audited.end(error_in(failed)),
        }
        let mut prepared = prepared?;
        let told = |i: usize| declared.get(i).copied().filter(|oid| known[i].is_some() && *oid != 0);
        prepared.parameter_ids = prepared
            .parameters
            .iter()
            .enumerate()
            .map(|(i, data_type)| {
                let spelt = prepared.parameters_spelt.get(i).cloned().flatten();
                told(i).or_else(|| types::spelt(&spelt?)).unwrap_or_else(|| types::type_of_data(data_type).0)
            })
            .collect();
        prepared.text = sql.to_string();
        session.keep(&name, prepared)?;
        self.outbox.add(PgWireBackendMessage::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    /// `Bind`.
    pub(super) async fn bind(
        &mut self,
        portal: String,
        statement: &str,
        formats: &[i16],
        values: &[Option<Bytes>],
        results: &[i16],
    ) -> Result<(), Broken> {
        let prepared = self.session.kept(statement)?;
        self.session.activity().begin(&prepared.text);
        let wanted = prepared.parameters.len();
        if values.len() != wanted {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {wanted}",
                values.len()
            );
            return Err(Error::new("08P01", message).into());
        }
        let formats = rows::formats(formats, wanted, "parameter", "parameters are")?;
        let columns = match prepared.statement() {
            // Another cursor may have the name by now.
            Statement::Fetch { cursor, moves: false, .. } => self.session.cursors().lock().columns(cursor),
            _ => prepared.columns.clone(),
        };
        let results = match columns.as_ref().map_or(0, |schema| schema.fields().len()) {
            // What gives no rows has no formats to check.
            0 => vec![],
            columns => rows::formats(results, columns, "result", "columns are")?,
        };
        let reading = Reading::of(&self.session.settings().lock())?;
        let values = (values.iter().zip(&formats).enumerate())
            .map(|(i, (value, format))| {
                let oid = prepared.parameter_ids.get(i).copied().unwrap_or(types::oid::TEXT);
                decode::value(oid, *format, value.as_ref(), &prepared.parameters[i], &reading)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if !portal.is_empty() && self.portals.get(&portal).is_some_and(|portal| !portal.is_cursor()) {
            return Err(Error::new("42P03", format!("cursor \"{portal}\" already exists")).into());
        }
        if self.portals.len() >= PORTALS_MAX {
            let message = format!("a connection keeps at most {PORTALS_MAX} portals");
            return Err(Error::new("54000", message).into());
        }
        let state = match prepared.statement() {
            Statement::Query(_) if !portal.is_empty() => {
                let opening = async {
                    self.session.open_portal(&portal, &prepared, values).await.map_err(Broken::from)
                };
                let audited = self.session.audited(prepared.statement(), &prepared.text);
                let opened = within(self.session.deadline(), opening).await;
                audited.end(error_in(&opened));
                opened?;
                PortalState::Cursor
            }
            _ => PortalState::Bound(values),
        };
        self.portals.insert(portal, Portal { prepared, columns, formats: results, state });
        self.outbox.add(PgWireBackendMessage::BindComplete(BindComplete::new()));
        Ok(())
    }

    /// `Describe`.
    pub(super) fn describe(&mut self, target: Target, name: &str) -> Result<(), Error> {
        let (columns, formats) = match target {
            Target::Statement => {
                let prepared = self.session.kept(name)?;
                let types = ParameterDescription::new(prepared.parameter_ids.clone());
                self.outbox.add(PgWireBackendMessage::ParameterDescription(types));
                (prepared.columns.clone(), vec![])
            }
            Target::Portal => match self.portals.get(name) {
                Some(portal) => (portal.columns.clone(), portal.formats.clone()),
                None => {
                    let columns = self.session.cursors().lock().columns(name);
                    let columns = columns.ok_or_else(|| no_such_portal(name))?;
                    let formats = self.cursor_formats(name, columns.fields().len());
                    (Some(columns), formats)
                }
            },
        };
        let message = match columns {
            Some(columns) => rows::description(&columns, &formats),
            None => PgWireBackendMessage::NoData(NoData::new()),
        };
        self.outbox.add(message);
        Ok(())
    }

    /// `Execute`: at most `rows_max` rows, 0 or less for all.
    pub(super) async fn execute(&mut self, name: &str, rows_max: i32) -> Result<(), Broken> {
        let formats = match self.portals.get(name) {
            Some(portal) => portal.is_cursor().then(|| portal.formats.clone()),
            None => {
                let columns = self.session.cursors().lock().columns(name);
                columns.map(|columns| self.cursor_formats(name, columns.fields().len()))
            }
        };
        if let Some(formats) = formats {
            return within(self.session.deadline(), self.read_cursor(name, formats, rows_max)).await;
        }
        let mut portal = self.portals.remove(name).ok_or_else(|| no_such_portal(name))?;
        self.session.activity().begin(&portal.prepared.text);
        let audited = match &portal.state {
            PortalState::Bound(_) => {
                Some(self.session.audited(portal.prepared.statement(), &portal.prepared.text))
            }
            _ => None,
        };
        let executed = within(self.session.deadline(), self.advance(&mut portal, rows_max)).await;
        let executed = executed.map_err(|broken| located(broken, &portal.prepared.text));
        if let Some(audited) = audited {
            audited.end(error_in(&executed));
        }
        let ends =
            matches!(portal.prepared.statement(), Statement::Commit { .. } | Statement::Rollback { .. });
        if executed.is_ok() && !ends {
            self.portals.insert(name.to_string(), portal);
        }
        executed
    }

    /// The formats of a cursor that SQL declared.
    fn cursor_formats(&self, name: &str, columns: usize) -> Vec<Format> {
        let binary = self.session.cursors().lock().is_binary(name);
        vec![if binary { Format::Binary } else { Format::Text }; columns]
    }

    async fn read_cursor(&mut self, name: &str, formats: Vec<Format>, rows_max: i32) -> Result<(), Broken> {
        let rows_max = u64::try_from(rows_max).ok().filter(|max| *max > 0);
        let Answer::Rows { schema, rows, .. } = self.session.read_portal(name, rows_max).await? else {
            return Err(Error::internal("a portal gave no rows").into());
        };
        let mut rows = Rows::new(&schema, rows, formats, self.style()?);
        let sent = rows.send(self.outbox, None).await.map_err(stopped)?;
        if rows_max.is_some_and(|max| sent.rows >= max) {
            self.outbox.add(PgWireBackendMessage::PortalSuspended(PortalSuspended::new()));
        } else {
            self.outbox.complete(tag_of("SELECT", sent.rows));
        }
        Ok(())
    }

    async fn advance(&mut self, portal: &mut Portal, rows_max: i32) -> Result<(), Broken> {
        let rows_max = u64::try_from(rows_max).ok().filter(|max| *max > 0);
        let before = self.session.transaction_status();
        let (mut rows, tag) = match std::mem::replace(&mut portal.state, PortalState::Done) {
            PortalState::Bound(values) => match self.session.open(&portal.prepared, values).await? {
                Answer::Rows { schema, rows, .. }
                    if let Statement::Copy(copy) = portal.prepared.statement() =>
                {
                    return self.copy_out(&copy.options, &schema, rows).await;
                }
                Answer::Rows { schema, rows, tag, .. } => {
                    (Rows::new(&schema, rows, portal.formats.clone(), self.style()?), tag)
                }
                Answer::CopyIn(target) => {
                    if let Statement::CopyIn(copy) = portal.prepared.statement() {
                        self.copy_in(target, &copy.options, true)?;
                    }
                    return Ok(());
                }
                Answer::Tag(tag) => {
                    self.done(portal.prepared.statement(), tag, before);
                    return Ok(());
                }
                Answer::Empty => {
                    self.outbox.add(PgWireBackendMessage::EmptyQueryResponse(EmptyQueryResponse::new()));
                    return Ok(());
                }
            },
            PortalState::Suspended { rows, tag } => (rows, tag),
            PortalState::Cursor => return Err(Error::internal("a cursor was run as a portal").into()),
            PortalState::Done if portal.columns.is_some() => {
                self.outbox.complete(tag_of(portal.prepared.statement().tag(), 0));
                return Ok(());
            }
            PortalState::Done => return Err(Error::new("55000", "portal cannot be run").into()),
        };
        let sent = rows.send(self.outbox, rows_max).await.map_err(stopped)?;
        if sent.all {
            self.outbox.complete(tag_of(tag, sent.rows));
        } else {
            portal.state = PortalState::Suspended { rows, tag };
            self.outbox.add(PgWireBackendMessage::PortalSuspended(PortalSuspended::new()));
        }
        Ok(())
    }

    /// `Close`; what is not there is closed already.
    pub(super) fn close(&mut self, target: Target, name: &str) {
        match target {
            Target::Statement => self.session.forget(name),
            Target::Portal => {
                self.portals.remove(name);
                let _ = self.session.cursors().lock().close(name);
            }
        }
        self.outbox.add(PgWireBackendMessage::CloseComplete(CloseComplete::new()));
    }
}

fn no_such_portal(name: &str) -> Error {
    Error::new("34000", format!("portal \"{name}\" does not exist"))
}
