//! Where a session's next push stands: the channel and the token that its settings name.

use crate::lake::TableName;
use crate::serve::Error;
use crate::serve::settings::{CHANNEL, Settings, TOKEN};

/// A push that is taken once, whoever repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Who pushes.
    pub(super) channel: String,
    /// Which push of the channel it is.
    pub(super) token: i64,
}

impl Place {
    /// What the settings say: both, or neither.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>, Error> {
        let (channel, token) = (settings.get(CHANNEL)?, settings.get(TOKEN)?);
        let missing = |there: &str, missing: &str| {
            let message = format!("{there} is set, but {missing} is not");
            Error::new("22023", message).with_hint(format!(
                "Each push of a channel has a token of its own, which grows and is used up: SET {TOKEN} before each, or RESET both."
            ))
        };
        match (channel.is_empty(), token.parse()) {
            (true, Err(_)) => Ok(None),
            (true, Ok(_)) => Err(missing(TOKEN, CHANNEL)),
            (false, Err(_)) => Err(missing(CHANNEL, TOKEN)),
            (false, Ok(token)) => Ok(Some(Self { channel, token })),
        }
    }

    /// Takes the token out of the settings.
    pub(super) fn use_up(&self, settings: &mut Settings) -> Result<(), Error> {
        settings.set(TOKEN, None, false).map(drop)
    }

    /// What is told of a push that changes nothing.
    pub(super) fn taken_before(&self, table: &TableName) -> Error {
        let Self { channel, token } = self;
        Error::new(
            "01000",
            format!("\"{table}\" has taken token {token} of channel \"{channel}\" before: nothing is added"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_both_or_neither_and_used_up() {
        let mut settings = Settings::default();
        assert_eq!(Place::of(&settings).unwrap(), None);
        settings.set(TOKEN, Some("7"), false).unwrap();
        assert_eq!(Place::of(&settings).unwrap_err().code, "22023");
        settings.set(CHANNEL, Some("etl"), false).unwrap();
        let place = Place::of(&settings).unwrap().unwrap();
        assert_eq!(place, Place { channel: "etl".to_string(), token: 7 });
        place.use_up(&mut settings).unwrap();
        assert_eq!(Place::of(&settings).unwrap_err().code, "22023");
        for wrong in ["x", "-1", ""] {
            assert_eq!(settings.set(TOKEN, Some(wrong), false).unwrap_err().code, "22023");
        }
    }
}
