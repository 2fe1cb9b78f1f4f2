//! Logging in with secrets that were rotated: they are read anew when the broker refuses those that it took before.

use super::{Halt, Reader};
use crate::ingest::kafka::client;
use crate::ingest::kafka::settings::Settings;
use crate::ingest::open::Renew;
use crate::ops::clock;
use rdkafka::consumer::Consumer as _;
use std::time::{Duration, Instant};

/// Secrets are asked for no more often than this: a vault is somebody else's.
const RENEW_PAUSE: Duration = Duration::from_secs(2);

/// How secrets are had anew.
#[derive(Default)]
pub(super) struct Login {
    renew: Option<Renew>,
    asked: Option<Instant>,
}

impl Login {
    pub(super) fn new(renew: Option<Renew>) -> Self {
        Self { renew, asked: None }
    }

    /// How to read secrets anew, if that is due.
    fn due(&mut self, now: Instant) -> Option<Renew> {
        let renew = self.renew.clone()?;
        if self.asked.is_some_and(|asked| now < asked + RENEW_PAUSE) {
            return None;
        }
        self.asked = Some(now);
        Some(renew)
    }
}

impl Reader {
    /// Connects with other secrets, if the login was refused and there are others by now; then all partitions must be placed
    /// anew.
    pub(super) fn log_in_anew(&mut self) -> Result<bool, Halt> {
        if !self.consumer.client().context().refused_login() {
            return Ok(false);
        }
        let Some(renew) = self.login.due(clock::instant()) else { return Ok(false) };
        let renewed = self.runtime.block_on(async {
            tokio::select! {
                () = self.outlet.stop.cancelled() => Err(Halt::Stop),
                renewed = renew() => Ok(renewed),
            }
        })?;
        let source = &self.definition.name;
        let settings = renewed
            .and_then(|options| Settings::new(&source.name, &options).map_err(|error| error.to_string()));
        let settings = match settings {
            Ok(settings) if settings.properties != self.settings.properties => settings,
            Ok(_) => return Ok(false),
            Err(error) => {
                tracing::warn!(source = %source, error, "secrets could not be read anew");
                return Ok(false);
            }
        };
        match client::connect(&settings) {
            Ok(consumer) => (self.consumer, self.settings) = (consumer, settings),
            Err(error) => {
                tracing::warn!(source = %source, %error, "secrets that were read anew are refused");
                return Ok(false);
            }
        }
        tracing::info!(source = %source, "logs in with secrets that were read anew");
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::sync::Arc;

    #[test]
    fn secrets_are_not_asked_for_at_each_refusal() {
        let renew: Renew = Arc::new(|| async { Ok(Default::default()) }.boxed());
        let (mut login, now) = (Login::new(Some(renew)), Instant::now());
        assert!(login.due(now).is_some());
        assert!(login.due(now + RENEW_PAUSE / 2).is_none());
        assert!(login.due(now + RENEW_PAUSE).is_some());
        assert!(Login::default().due(now).is_none(), "nobody knows others");
    }
}
