//! The gate in front of every Flight call.
//!
//! Comes in: gRPC calls. Goes out: calls with their [`Caller`], to [`Service`]; none passes without one. What plain
//! Flight clients need is answered here: the handshake, a schema, a list, SQL text as a command and
//! `schema/table` as a path.

use super::PROTOCOL;
use super::actions;
use super::query::Caller;
use super::service::{Service, caller, encode_schema, from_arrow};
use super::sessions::{COOKIE, Sessions};
use super::status::status;
use super::wire::Peer;
use crate::serve::Error;
use crate::serve::gate::{Credentials, Gate};
use crate::serve::shelf::random_key;
use crate::sql::quoted;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use prost::Message as _;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Request, Response, Status, Streaming};

/// What Flight SQL's commands are named by; anything else in a command is SQL text.
const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

/// Headers that set something for one call, and what they set.
const SETTING_HEADERS: [(&str, &str); 8] = [
    ("sluice-compression", "sluice.compression"),
    ("sluice-dictionaries", "sluice.dictionaries"),
    ("sluice-endpoints-max", "sluice.endpoints_max"),
    ("sluice-read-after", "sluice.read_after"),
    ("sluice-search-path", "search_path"),
    ("sluice-staleness-max", "sluice.staleness_max"),
    ("sluice-statement-timeout", "statement_timeout"),
    ("sluice-time-zone", "TimeZone"),
];

/// The service behind its gate.
pub(super) struct Gateway {
    gate: Gate,
    sessions: Sessions,
    service: Service,
}

type Streamed<T> = Result<Response<BoxStream<'static, Result<T, Status>>>, Status>;

impl Gateway {
    /// Puts `service` behind `gate`; `sessions` keep what callers set.
    pub(super) fn new(gate: Gate, sessions: Sessions, service: Service) -> Self {
        Self { gate, sessions, service }
    }

    async fn admit<T>(&self, mut request: Request<T>) -> Result<Request<T>, Status> {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
        let peer = peer.ok_or_else(|| status(Error::new("28000", "the caller's address is unknown")))?;
        let refused = |user: &str, error: Error| {
            self.service.audit().refused(PROTOCOL, peer.ip(), user, &error);
            status(error)
        };
        let credentials = credentials(request.metadata()).map_err(|error| refused("", error))?;
        let session = session(request.metadata(), &credentials);
        let named = credentials.user().to_string();
        let user = self.gate.admit(credentials, peer.ip()).await.map_err(|error| refused(&named, error))?;
        // What a call says itself counts for it.
        let kept = session.as_ref().map(|session| self.sessions.options(&user, session)).unwrap_or_default();
        let said = settings(request.metadata()).map_err(status)?;
        let settings = kept.into_iter().chain(said).collect();
        request.extensions_mut().insert(Caller { user, session, settings, address: peer });
        Ok(request)
    }
}

#[tonic::async_trait]
impl FlightService for Gateway {
    type HandshakeStream = BoxStream<'static, Result<HandshakeResponse, Status>>;
    type ListFlightsStream = BoxStream<'static, Result<FlightInfo, Status>>;
    type DoGetStream = BoxStream<'static, Result<FlightData, Status>>;
    type DoPutStream = BoxStream<'static, Result<PutResult, Status>>;
    type DoActionStream = BoxStream<'static, Result<arrow_flight::Result, Status>>;
    type ListActionsStream = BoxStream<'static, Result<ActionType, Status>>;
    type DoExchangeStream = BoxStream<'static, Result<FlightData, Status>>;

    /// Basic credentials in, a bearer token out: as a header, as clients expect it, and as the payload.
    async fn handshake(&self, request: Request<Streaming<HandshakeRequest>>) -> Streamed<HandshakeResponse> {
        let request = self.admit(request).await?;
        let token = self.gate.token(&caller(&request)?.user);
        let header = AsciiMetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Status::internal("token is not a header"))?;
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let mut response = Response::new(stream::iter([Ok(answer)]).boxed());
        response.metadata_mut().insert("authorization", header);
        Ok(response)
    }

    /// The tables, by path; what they hold is asked for with [`FlightService::get_flight_info`].
    async fn list_flights(&self, request: Request<Criteria>) -> Streamed<FlightInfo> {
        let request = self.admit(request).await?;
        let cut = self.service.shown_to(&request)?;
        let infos: Vec<Result<FlightInfo, Status>> = cut
            .tables
            .iter()
            .map(|(name, table)| {
                let path = vec![name.schema.clone(), name.name.clone()];
                let schema = super::outgoing::plain_schema(&table.relation.schema);
                let info = FlightInfo::new().try_with_schema(&schema).map_err(from_arrow)?;
                Ok(info.with_descriptor(FlightDescriptor::new_path(path)))
            })
            .collect();
        Ok(Response::new(stream::iter(infos).boxed()))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let request = self.admit(request).await?;
        match plain_sql(request.get_ref())? {
            Some(sql) => self.service.statement_info(&sql, request).await,
            None => FlightService::get_flight_info(&self.service, request).await,
        }
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let request = self.admit(request).await?;
        let sql = match plain_sql(request.get_ref())? {
            Some(sql) => Some(sql),
            None => statement_sql(request.get_ref()),
        };
        let caller = caller(&request)?;
        if let Some(sql) = sql {
            let schema = self.service.statement_schema(&sql, &caller).await?;
            let schema = encode_schema(&schema).map_err(from_arrow)?;
            return Ok(Response::new(SchemaResult { schema }));
        }
        let info = FlightService::get_flight_info(&self.service, request).await?.into_inner();
        // A prepared statement's info left a ticket behind that nobody will read.
        self.service.cancel(&info, &caller);
        Ok(Response::new(SchemaResult { schema: info.schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Streamed<FlightData> {
        FlightService::do_get(&self.service, self.admit(request).await?).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Streamed<PutResult> {
        FlightService::do_put(&self.service, self.admit(request).await?).await
    }

    async fn do_action(&self, request: Request<Action>) -> Streamed<arrow_flight::Result> {
        let mut request = self.admit(request).await?;
        let mut caller = caller(&request)?;
        let begun = (caller.session.is_none() && actions::begins_session(request.get_ref())).then(session_id);
        if let Some(id) = &begun {
            caller.session = Some(id.clone().into_bytes());
            request.extensions_mut().insert(caller.clone());
        }
        let Some(body) = actions::act(&self.service, &self.sessions, &caller, request.get_ref())? else {
            return FlightService::do_action(&self.service, request).await;
        };
        let result = arrow_flight::Result { body: body.into() };
        let mut response = Response::new(stream::iter([Ok(result)]).boxed());
        if let Some(id) = begun {
            let cookie = AsciiMetadataValue::try_from(format!("{COOKIE}={id}; Path=/; HttpOnly"));
            let cookie = cookie.map_err(|_| Status::internal("session is not a header"))?;
            response.metadata_mut().insert("set-cookie", cookie);
        }
        Ok(response)
    }

    async fn list_actions(&self, request: Request<Empty>) -> Streamed<ActionType> {
        self.admit(request).await?;
        let actions = actions::list().into_iter().map(Ok).collect::<Vec<_>>();
        Ok(Response::new(stream::iter(actions).boxed()))
    }

    /// A query is planned when it is asked for and runs as it is read: there is nothing to wait for.
    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let info = self.get_flight_info(request).await?.into_inner();
        let expiration_time = info.endpoint.first().and_then(|endpoint| endpoint.expiration_time);
        let poll =
            PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time };
        Ok(Response::new(poll))
    }

    async fn do_exchange(&self, request: Request<Streaming<FlightData>>) -> Streamed<FlightData> {
        self.admit(request).await?;
        Err(status(Error::new("0A000", "exchanges are not supported")))
    }
}

fn credentials(metadata: &MetadataMap) -> Result<Credentials, Error> {
    let header = metadata
        .get("authorization")
        .map(|value| value.to_str().map_err(|_| Error::new("28000", "authorization header is not readable")));
    Credentials::from_header(header.transpose()?)
}

/// What names the caller's session: a cookie, or else the token that was given for a login.
fn session(metadata: &MetadataMap, credentials: &Credentials) -> Option<Vec<u8>> {
    let cookies = metadata.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let cookie =
        pairs.find(|(name, _)| *name == COOKIE).map(|(_, id)| id.trim_matches('"').as_bytes().to_vec());
    cookie.or(match credentials {
        Credentials::Bearer(token) => Some(token.as_bytes().to_vec()),
        _ => None,
    })
}

/// A name for a session that nobody can guess.
fn session_id() -> String {
    URL_SAFE_NO_PAD.encode(random_key())
}

fn settings(metadata: &MetadataMap) -> Result<Vec<(String, String)>, Error> {
    let mut settings = Vec::new();
    for (header, setting) in SETTING_HEADERS {
        if let Some(value) = metadata.get(header) {
            let value = value
                .to_str()
                .map_err(|_| Error::new("22023", format!("header \"{header}\" is not readable")))?;
            settings.push((setting.to_string(), value.to_string()));
        }
    }
    Ok(settings)
}

/// The SQL of a command that is plain text, or of a path to a table; `None` for Flight SQL's own commands.
fn plain_sql(descriptor: &FlightDescriptor) -> Result<Option<String>, Status> {
    if !descriptor.path.is_empty() {
        let name: Vec<String> = descriptor.path.iter().map(|part| quoted(part)).collect();
        return Ok(Some(format!("SELECT * FROM {}", name.join("."))));
    }
    if Any::decode(&*descriptor.cmd).is_ok_and(|message| message.type_url.starts_with(TYPE_URL_PREFIX)) {
        return Ok(None);
    }
    String::from_utf8(descriptor.cmd.to_vec())
        .map(Some)
        .map_err(|_| status(Error::new("08P01", "command is neither one of Flight SQL's nor SQL text")))
}

/// The SQL of a statement command.
fn statement_sql(descriptor: &FlightDescriptor) -> Option<String> {
    let message = Any::decode(&*descriptor.cmd).ok()?;
    match Command::try_from(message).ok()? {
        Command::CommandStatementQuery(command) => Some(command.query),
        _ => None,
    }
}
