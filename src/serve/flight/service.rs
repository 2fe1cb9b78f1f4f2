//! Flight SQL's commands over the warehouse.
//!
//! Comes in: calls that [`super::gateway`] has let in, each with its [`Caller`]. Goes out: flight infos whose tickets
//! stand for a query planned on one cut, streams of rows, prepared statements. A ticket can be read again until it
//! expires.

use super::ingest;
use super::keys::{self, Asked};
use super::metadata;
use super::outgoing::{self, Compression};
use super::parameters;
use super::query::{self, Caller, Query, Wanted, refuse_transaction};
use super::statements::{Prepared, Statements};
use super::status::status;
use super::update;
use crate::catalog::cut::Cut;
use crate::serve::audit::AuditLog;
use crate::serve::guard::shown;
use crate::serve::settings::Settings;
use crate::serve::{Error, Readers};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::metadata::{SqlInfoData, XdbcTypeInfoData};
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{
    CancelStatus, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// The commands' implementation.
pub(super) struct Service {
    readers: Readers,
    server_stop: CancellationToken,
    statements: Statements,
    sql_info: SqlInfoData,
    xdbc_types: XdbcTypeInfoData,
}

type DoGet = Result<Response<<Service as FlightService>::DoGetStream>, Status>;

impl Service {
    /// Where records of who called go.
    pub(super) fn audit(&self) -> &AuditLog {
        &self.readers.audit
    }

    /// A service over these readers; `server_stop` ends what still runs.
    pub(super) fn new(readers: Readers, server_stop: CancellationToken) -> Result<Self, FlightError> {
        let ticket_idle_max = Duration::from_secs(readers.limits.ticket_idle_seconds_max);
        Ok(Self {
            readers,
            server_stop,
            statements: Statements::new(ticket_idle_max),
            sql_info: metadata::sql_info()?,
            xdbc_types: metadata::xdbc_types()?,
        })
    }

    /// What a caller is shown of the newest cut.
    pub(super) fn shown_to<T>(&self, request: &Request<T>) -> Result<Arc<Cut>, Status> {
        let cut = self.readers.cuts.borrow().clone();
        Ok(shown(&cut, &self.readers.access.load(), &caller(request)?.user))
    }

    /// Plans a statement and describes the stream that will run it.
    pub(super) async fn statement_info(
        &self,
        sql: &str,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let (statement, _) = query::read(sql).map_err(status)?;
        let parts = Query::plan(&self.readers, &caller, Wanted::once(statement)).await.map_err(status)?;
        self.query_info(&caller, parts, request.into_inner())
    }

    /// The columns of a statement's result.
    pub(super) async fn statement_schema(&self, sql: &str, caller: &Caller) -> Result<SchemaRef, Status> {
        let (statement, _) = query::read(sql).map_err(status)?;
        let (schema, _) = query::describe(&self.readers, caller, statement).await.map_err(status)?;
        Ok(schema)
    }

    /// Stops what an info's tickets stand for; true if any of them was known.
    pub(super) fn cancel(&self, info: &FlightInfo, caller: &Caller) -> bool {
        let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
        tickets.fold(false, |known, ticket| self.statements.cancel(&caller.user, ticket) | known)
    }

    /// An endpoint whose ticket is kept for as long again.
    pub(super) fn renew(&self, endpoint: FlightEndpoint, caller: &Caller) -> Result<FlightEndpoint, Error> {
        let expires = self.statements.renew(&caller.user, endpoint.ticket.as_ref())?;
        Ok(FlightEndpoint { expiration_time: Some(expires), ..endpoint })
    }

    /// The settings that a call of this caller has.
    pub(super) fn settings(&self, caller: &Caller) -> Result<Settings, Error> {
        Ok(caller.session(&self.readers)?.settings().lock().clone())
    }

    fn query_info(
        &self,
        caller: &Caller,
        parts: Vec<Query>,
        descriptor: FlightDescriptor,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = parts.first().map_or_else(|| Arc::new(Schema::empty()), |part| Arc::clone(&part.schema));
        let endpoints = parts.into_iter().map(|part| self.statements.keep(&caller.user, part)).collect();
        info(&schema, endpoints, descriptor)
    }

    /// The info of a metadata command: its ticket is the command itself.
    fn command_info(
        &self,
        schema: &Schema,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let descriptor = request.into_inner();
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(descriptor.cmd.clone()));
        info(schema, vec![endpoint], descriptor)
    }

    async fn stream(&self, query: &Query, compression: Compression) -> DoGet {
        let stall_max = Duration::from_millis(self.readers.limits.stall_ms_max);
        let batches = query.run(self.server_stop.clone(), stall_max).await.map_err(status)?;
        let messages = outgoing::messages(Arc::clone(&query.schema), batches, compression);
        Ok(Response::new(messages.map_err(status)?))
    }

    fn answer(&self, batch: Result<RecordBatch, FlightError>) -> DoGet {
        Ok(Response::new(outgoing::answer(batch.map_err(Status::from)?)))
    }

    fn foreign_keys(&self, of_key: &Asked, referring: &Asked, request: &Request<Ticket>) -> DoGet {
        let keys = keys::foreign_keys(of_key, referring, &*self.shown_to(request)?);
        self.answer(keys.map_err(FlightError::from))
    }

    async fn plan_prepared(&self, handle: &[u8], caller: &Caller) -> Result<Vec<Query>, Status> {
        let prepared = self.statements.prepared(&caller.user, handle).map_err(status)?;
        Query::plan(&self.readers, caller, Wanted::again(prepared)).await.map_err(status)
    }
}

#[tonic::async_trait]
impl FlightSqlService for Service {
    type FlightService = Service;

    async fn get_flight_info_statement(
        &self,
        command: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        self.statement_info(&command.query, request).await
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> DoGet {
        let caller = caller(&request)?;
        let query = self.statements.query(&caller.user, &ticket.statement_handle).map_err(status)?;
        self.stream(&query, compression(&request)?).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        command: ActionCreatePreparedStatementRequest,
        request: Request<arrow_flight::Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        let caller = caller(&request)?;
        let said = query::read(&command.query).map_err(status)?;
        let (columns, parameters) =
            query::describe(&self.readers, &caller, said.0.clone()).await.map_err(status)?;
        Ok(ActionCreatePreparedStatementResult {
            dataset_schema: encode_schema(&columns).map_err(from_arrow)?,
            parameter_schema: encode_schema(&parameters::schema(&parameters)).map_err(from_arrow)?,
            prepared_statement_handle: self.statements.prepare(&caller.user, Prepared::new(said, parameters)),
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        command: ActionClosePreparedStatementRequest,
        request: Request<arrow_flight::Action>,
    ) -> Result<(), Status> {
        self.statements.close(&caller(&request)?.user, &command.prepared_statement_handle);
        Ok(())
    }

    async fn do_action_cancel_query(
        &self,
        request: ActionCancelQueryRequest,
        action: Request<arrow_flight::Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let info = FlightInfo::decode(request.info)
            .map_err(|error| status(Error::new("08P01", format!("CancelQuery is not readable: {error}"))))?;
        if !self.cancel(&info, &caller(&action)?) {
            return Err(status(Error::new("26000", "query does not exist or has ended")));
        }
        // The older action's results have the newer one's numbers.
        Ok(ActionCancelQueryResult { result: CancelStatus::Cancelled.into() })
    }

    async fn do_put_prepared_statement_query(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let caller = caller(&request)?;
        let handle = command.prepared_statement_handle;
        let prepared = self.statements.prepared(&caller.user, &handle).map_err(status)?;
        let values = parameters::read(request.into_inner(), &prepared.parameters).await?;
        self.statements.bind(&caller.user, &handle, values).map_err(status)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let caller = caller(&request)?;
        let parts = self.plan_prepared(&command.prepared_statement_handle, &caller).await?;
        self.query_info(&caller, parts, request.into_inner())
    }

    async fn do_get_prepared_statement(
        &self,
        command: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> DoGet {
        let caller = caller(&request)?;
        // One ticket for all that there is: in one piece.
        let whole = Caller { settings: [caller.settings, vec![one_endpoint()]].concat(), ..caller };
        let parts = self.plan_prepared(&command.prepared_statement_handle, &whole).await?;
        let query = parts.first().ok_or_else(|| status(Error::internal("a query without parts")))?;
        self.stream(query, compression(&request)?).await
    }

    async fn do_put_statement_update(
        &self,
        command: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        refuse_transaction(command.transaction_id.as_ref())?;
        let caller = caller(&request)?;
        let known = Prepared::new(query::read(&command.query).map_err(status)?, Vec::new());
        update::run(&self.readers, &caller, known, self.server_stop.clone()).await.map_err(status)
    }

    async fn do_put_statement_ingest(
        &self,
        command: CommandStatementIngest,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        let (metadata, _, stream) = request.into_parts();
        ingest::audited(&self.readers, &caller, command, &metadata, stream).await
    }

    async fn do_put_prepared_statement_update(
        &self,
        command: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let caller = caller(&request)?;
        let handle = command.prepared_statement_handle;
        let mut known = self.statements.prepared(&caller.user, &handle).map_err(status)?;
        // Some clients bind beforehand, others send the values along.
        let values = parameters::read(request.into_inner(), &known.parameters).await?;
        if !values.is_empty() {
            known.values = values;
        }
        update::run(&self.readers, &caller, known, self.server_stop.clone()).await.map_err(status)
    }

    async fn get_flight_info_catalogs(
        &self,
        command: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&command.into_builder().schema(), request)
    }

    async fn do_get_catalogs(&self, command: CommandGetCatalogs, _request: Request<Ticket>) -> DoGet {
        self.answer(metadata::catalogs(command))
    }

    async fn get_flight_info_schemas(
        &self,
        command: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&command.into_builder().schema(), request)
    }

    async fn do_get_schemas(&self, command: CommandGetDbSchemas, request: Request<Ticket>) -> DoGet {
        self.answer(metadata::schemas(command, &*self.shown_to(&request)?))
    }

    async fn get_flight_info_tables(
        &self,
        command: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&command.into_builder().schema(), request)
    }

    async fn do_get_tables(&self, command: CommandGetTables, request: Request<Ticket>) -> DoGet {
        self.answer(metadata::tables(command, &*self.shown_to(&request)?))
    }

    async fn get_flight_info_table_types(
        &self,
        command: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&command.into_builder().schema(), request)
    }

    async fn do_get_table_types(&self, command: CommandGetTableTypes, _request: Request<Ticket>) -> DoGet {
        self.answer(metadata::table_types(command))
    }

    async fn get_flight_info_sql_info(
        &self,
        command: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&command.into_builder(&self.sql_info).schema(), request)
    }

    async fn do_get_sql_info(&self, command: CommandGetSqlInfo, _request: Request<Ticket>) -> DoGet {
        self.answer(command.into_builder(&self.sql_info).build())
    }

    async fn get_flight_info_primary_keys(
        &self,
        _command: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&metadata::primary_keys_schema(), request)
    }

    async fn do_get_primary_keys(&self, command: CommandGetPrimaryKeys, request: Request<Ticket>) -> DoGet {
        let keys = metadata::primary_keys(&command, &*self.shown_to(&request)?);
        self.answer(keys.map_err(FlightError::from))
    }

    async fn get_flight_info_exported_keys(
        &self,
        _command: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&keys::foreign_keys_schema(), request)
    }

    async fn do_get_exported_keys(&self, command: CommandGetExportedKeys, request: Request<Ticket>) -> DoGet {
        let CommandGetExportedKeys { catalog, db_schema: schema, table } = command;
        self.foreign_keys(&Asked { catalog, schema, table: Some(table) }, &Asked::default(), &request)
    }

    async fn get_flight_info_imported_keys(
        &self,
        _command: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&keys::foreign_keys_schema(), request)
    }

    async fn do_get_imported_keys(&self, command: CommandGetImportedKeys, request: Request<Ticket>) -> DoGet {
        let CommandGetImportedKeys { catalog, db_schema: schema, table } = command;
        self.foreign_keys(&Asked::default(), &Asked { catalog, schema, table: Some(table) }, &request)
    }

    async fn get_flight_info_cross_reference(
        &self,
        _command: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&keys::foreign_keys_schema(), request)
    }

    async fn do_get_cross_reference(
        &self,
        command: CommandGetCrossReference,
        request: Request<Ticket>,
    ) -> DoGet {
        let asked = |catalog, schema, table| Asked { catalog, schema, table: Some(table) };
        self.foreign_keys(
            &asked(command.pk_catalog, command.pk_db_schema, command.pk_table),
            &asked(command.fk_catalog, command.fk_db_schema, command.fk_table),
            &request,
        )
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.command_info(&command.into_builder(&self.xdbc_types).schema(), request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        command: CommandGetXdbcTypeInfo,
        _request: Request<Ticket>,
    ) -> DoGet {
        self.answer(command.into_builder(&self.xdbc_types).build())
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

/// The caller that the gateway let in.
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request.extensions().get::<Caller>().cloned().ok_or_else(|| Status::unauthenticated("no caller"))
}

/// A schema in the form that [`FlightInfo`] and prepared statements carry.
pub(super) fn encode_schema(schema: &Schema) -> Result<Bytes, ArrowError> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into()?;
    Ok(bytes)
}

/// An arrow error as a status.
pub(super) fn from_arrow(error: ArrowError) -> Status {
    status(Error::new("XX000", error.to_string()))
}

fn info(
    schema: &Schema,
    endpoint: Vec<FlightEndpoint>,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>, Status> {
    // Several endpoints are parts of rows that have no order.
    let ordered = endpoint.len() == 1;
    let info = FlightInfo::new().try_with_schema(schema).map_err(from_arrow)?;
    Ok(Response::new(FlightInfo { endpoint, ..info }.with_descriptor(descriptor).with_ordered(ordered)))
}

/// The setting that leaves a result whole.
fn one_endpoint() -> (String, String) {
    ("sluice.endpoints_max".to_string(), "1".to_string())
}

/// How the columns of an answer to this call are compressed.
fn compression<T>(request: &Request<T>) -> Result<Compression, Status> {
    let name = caller(request)?.setting("sluice.compression").map_err(status)?;
    Ok(Compression::named(&name))
}
