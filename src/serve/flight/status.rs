//! Errors with a SQLSTATE → gRPC statuses.
//!
//! The code's class decides the status, the message keeps the SQLSTATE in brackets, and the trailer
//! [`SQLSTATE_TRAILER`] holds it alone for programs.

use crate::serve::Error;
use tonic::metadata::AsciiMetadataValue;
use tonic::{Code, Status};

/// The trailer that carries the SQLSTATE.
pub(super) const SQLSTATE_TRAILER: &str = "sluice-sqlstate";

/// The status that a client gets for an error.
pub(super) fn status(error: Error) -> Status {
    let mut message = error.to_string();
    for more in [&error.detail, &error.hint].into_iter().flatten() {
        message.push_str("; ");
        message.push_str(more);
    }
    let mut status = Status::new(code(error.code), message);
    status.metadata_mut().insert(SQLSTATE_TRAILER, AsciiMetadataValue::from_static(error.code));
    status
}

/// The gRPC code of a SQLSTATE.
fn code(sqlstate: &str) -> Code {
    match sqlstate {
        "42P01" | "3F000" | "3D000" | "26000" => Code::NotFound,
        "42501" => Code::PermissionDenied,
        "57014" => Code::Cancelled,
        "57P01" | "57P03" => Code::Unavailable,
        _ => match sqlstate.get(..2) {
            Some("28") => Code::Unauthenticated,
            Some("08" | "22" | "42") => Code::InvalidArgument,
            Some("0A") => Code::Unimplemented,
            Some("25") => Code::FailedPrecondition,
            Some("40") => Code::Aborted,
            Some("53" | "54") => Code::ResourceExhausted,
            _ => Code::Internal,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_decides_the_status_and_the_code_travels() {
        let cases = [
            ("42P01", Code::NotFound),
            ("42601", Code::InvalidArgument),
            ("28P01", Code::Unauthenticated),
            ("0A000", Code::Unimplemented),
            ("53200", Code::ResourceExhausted),
            ("57014", Code::Cancelled),
            ("57P01", Code::Unavailable),
            ("XX000", Code::Internal),
        ];
        for (sqlstate, code) in cases {
            let status = status(Error::new(sqlstate, "it failed").with_hint("Try again."));
            assert_eq!(status.code(), code);
            assert_eq!(status.message(), format!("it failed ({sqlstate}); Try again."));
            assert_eq!(status.metadata().get(SQLSTATE_TRAILER).unwrap().to_str().unwrap(), sqlstate);
        }
    }
}
