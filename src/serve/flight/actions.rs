//! Actions: what clients do with a query or a session besides reading.
//!
//! Comes in: an action's name and body, and who asks. Goes out: its one result. Those of prepared statements are
//! arrow_flight's to take apart and not here ([`act`] says so with `None`).

use super::messages::{
    CloseSessionResult, CloseStatus, GetSessionOptionsResult, SessionOptionError, SetSessionOptionsRequest,
    SetSessionOptionsResult,
};
use super::query::Caller;
use super::service::Service;
use super::sessions::{self, Sessions};
use super::status::status;
use crate::serve::Error;
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus,
    RenewFlightEndpointRequest,
};
use prost::Message;
use tonic::Status;

const CANCEL_FLIGHT_INFO: &str = "CancelFlightInfo";
const RENEW_FLIGHT_ENDPOINT: &str = "RenewFlightEndpoint";
const SET_SESSION_OPTIONS: &str = "SetSessionOptions";
const GET_SESSION_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// Every action that there is.
pub(super) fn list() -> Vec<ActionType> {
    let actions = [
        ("CreatePreparedStatement", "makes a statement that can be run again with other parameters"),
        ("ClosePreparedStatement", "forgets a prepared statement"),
        ("CancelQuery", "stops a query; CancelFlightInfo is its newer form"),
        (CANCEL_FLIGHT_INFO, "stops a query"),
        (RENEW_FLIGHT_ENDPOINT, "keeps a ticket for as long again"),
        (SET_SESSION_OPTIONS, "sets what all calls of a session have"),
        (GET_SESSION_OPTIONS, "tells what a session has set, and what holds where it has not"),
        (CLOSE_SESSION, "forgets what a session has set"),
    ];
    let action =
        |(name, about): (&str, &str)| ActionType { r#type: name.to_string(), description: about.to_string() };
    actions.map(action).into()
}

/// Whether an action is about a session, which it begins if the call names none.
pub(super) fn begins_session(action: &Action) -> bool {
    action.r#type == SET_SESSION_OPTIONS
}

/// Does one of the actions; `None` leaves it to arrow_flight.
pub(super) fn act(
    service: &Service,
    sessions: &Sessions,
    caller: &Caller,
    action: &Action,
) -> Result<Option<Vec<u8>>, Status> {
    Ok(Some(match action.r#type.as_str() {
        CANCEL_FLIGHT_INFO => {
            let request: CancelFlightInfoRequest = body(action)?;
            if !request.info.is_some_and(|info| service.cancel(&info, caller)) {
                return Err(status(Error::new("26000", "query does not exist or has ended")));
            }
            CancelFlightInfoResult::new(CancelStatus::Cancelled).encode_to_vec()
        }
        RENEW_FLIGHT_ENDPOINT => {
            let request: RenewFlightEndpointRequest = body(action)?;
            let endpoint = request.endpoint.unwrap_or_default();
            service.renew(endpoint, caller).map_err(status)?.encode_to_vec()
        }
        SET_SESSION_OPTIONS => set(sessions, caller, body(action)?).encode_to_vec(),
        GET_SESSION_OPTIONS => {
            let settings = service.settings(caller).map_err(status)?;
            let options = sessions::all(&settings).into_iter();
            let session_options = options.map(|(name, value)| (name, value.into())).collect();
            GetSessionOptionsResult { session_options }.encode_to_vec()
        }
        CLOSE_SESSION => {
            if let Some(session) = &caller.session {
                sessions.close(&caller.user, session);
            }
            CloseSessionResult { status: CloseStatus::Closed.into() }.encode_to_vec()
        }
        _ => return Ok(None),
    }))
}

fn set(sessions: &Sessions, caller: &Caller, request: SetSessionOptionsRequest) -> SetSessionOptionsResult {
    let options = request.session_options.into_iter();
    let options = options.map(|(name, value)| (name, value.option_value)).collect();
    let faults = sessions.set(&caller.user, caller.session.as_deref().unwrap_or_default(), options);
    let errors = faults.into_iter().map(|(name, fault)| (name, SessionOptionError { value: fault.into() }));
    SetSessionOptionsResult { errors: errors.collect() }
}

fn body<M: Message + Default>(action: &Action) -> Result<M, Status> {
    M::decode(action.body.clone())
        .map_err(|error| status(Error::new("08P01", format!("{} is not readable: {error}", action.r#type))))
}
