//! The messages that a target is still to be told, in their order. Pure.

use super::message::Message;
use crate::ops::retry::{backoff, spread};
use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::sync::Arc;

/// For how long a message is tried.
const TRIED_FOR: chrono::Duration = chrono::Duration::days(1);
/// Messages that wait for one target at most: of more the oldest are given up.
const WAITING_MAX: usize = 1_000;

/// How a try went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Delivered,
    /// It was understood, and will never be taken.
    Refused(String),
    /// It may be taken another time.
    Failed(String),
}

/// What is known of a message after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The message.
    pub message: Arc<Message>,
    /// How it stands.
    pub state: State,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not taken.
    pub error: Option<String>,
}

/// How a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is still to be delivered.
    Waiting,
    /// It was.
    Delivered,
    /// It will not be.
    GivenUp,
}

impl State {
    /// The words in system tables.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Delivered => "delivered",
            State::GivenUp => "given up",
        }
    }
}

/// What is next for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// This message, at once.
    Now(Arc<Message>),
    /// A message, at that time.
    At(DateTime<Utc>),
    /// Nothing waits.
    Nothing,
}

/// One target's messages.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<(Arc<Message>, u32)>,
    retry_at: Option<DateTime<Utc>>,
    /// Tries that failed, in a row.
    pub failures: u32,
    /// Why the newest try failed; `None` once one did not.
    pub error: Option<String>,
    /// Messages that were taken, since the start.
    pub delivered: u64,
    /// Messages that never will be, since the start.
    pub given_up: u64,
    /// When one was taken.
    pub delivered_at: Option<DateTime<Utc>>,
}

impl Outbox {
    /// How many messages wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Puts a message, tried so often before, behind the others; the one that has to go for it.
    pub fn push(&mut self, message: Arc<Message>, attempts: u32) -> Option<Settled> {
        self.waiting.push_back((message, attempts));
        if self.waiting.len() <= WAITING_MAX {
            return None;
        }
        let (message, attempts) = self.waiting.pop_front()?;
        self.given_up += 1;
        let error = Some(format!("more than {WAITING_MAX} messages wait for this target"));
        Some(Settled { message, state: State::GivenUp, attempts, error })
    }

    /// Gives all messages up.
    pub fn give_up(&mut self, why: &str) -> Vec<Settled> {
        self.given_up += self.waiting.len() as u64;
        let settled = |(message, attempts)| Settled {
            message,
            state: State::GivenUp,
            attempts,
            error: Some(why.to_string()),
        };
        self.waiting.drain(..).map(settled).collect()
    }

    /// What is to be tried next.
    pub fn due(&self, now: DateTime<Utc>) -> Due {
        match (self.waiting.front(), self.retry_at) {
            (None, _) => Due::Nothing,
            (Some(_), Some(at)) if at > now => Due::At(at),
            (Some((message, _)), _) => Due::Now(Arc::clone(message)),
        }
    }

    /// Takes the outcome of the first message's try into account, `chance` being of 0 to 1. `None` if it is not the first
    /// any more.
    pub fn settle(
        &mut self,
        key: &str,
        outcome: Outcome,
        now: DateTime<Utc>,
        chance: f64,
    ) -> Option<Settled> {
        let (message, attempts) = self.waiting.front_mut().filter(|(message, _)| message.key == key)?;
        *attempts = attempts.saturating_add(1);
        let (message, attempts) = (Arc::clone(message), *attempts);
        let is_old = now - message.at() >= TRIED_FOR;
        let (state, error) = match outcome {
            Outcome::Delivered => (State::Delivered, None),
            Outcome::Refused(error) => (State::GivenUp, Some(error)),
            Outcome::Failed(error) if is_old => (State::GivenUp, Some(error)),
            Outcome::Failed(error) => (State::Waiting, Some(error)),
        };
        self.error.clone_from(&error);
        if state == State::Delivered {
            (self.failures, self.retry_at, self.delivered_at) = (0, None, Some(now));
        } else {
            self.failures = self.failures.saturating_add(1);
            let pause = chrono::Duration::from_std(spread(backoff(self.failures), chance)).ok();
            self.retry_at = pause.and_then(|pause| now.checked_add_signed(pause));
        }
        match state {
            State::Waiting => {}
            State::Delivered => self.delivered += 1,
            State::GivenUp => self.given_up += 1,
        }
        if state != State::Waiting {
            self.waiting.pop_front();
        }
        Some(Settled { message, state, attempts, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn message(n: usize, second: i64) -> Arc<Message> {
        Arc::new(Message {
            key: n.to_string(),
            alert: "a".to_string(),
            target: "webhook w".to_string(),
            at_us: second * 1_000_000,
            labels: Default::default(),
            firing: 1,
            beyond: 0,
            news: vec![],
        })
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn a_day_is_the_longest_that_one_is_tried() {
        let mut outbox = Outbox::default();
        outbox.push(message(0, 0), 0);
        let failed = |outbox: &mut Outbox, second| {
            outbox.settle("0", Outcome::Failed("away".to_string()), at(second), 0.0).unwrap()
        };
        assert_eq!(failed(&mut outbox, 1).state, State::Waiting);
        assert_eq!(outbox.due(at(1)), Due::At(at(2)));
        assert_eq!(failed(&mut outbox, 86_399).state, State::Waiting);
        let settled = failed(&mut outbox, 86_400);
        assert_eq!((settled.state, settled.attempts), (State::GivenUp, 3));
        assert_eq!((outbox.due(at(86_400)), outbox.error.as_deref()), (Due::Nothing, Some("away")));
    }

    proptest! {
        /// Whatever the target answers: messages come out in the order in which they went in, each once, none is lost, and
        /// none is tried while one before it waits.
        #[test]
        fn order_is_kept_and_nothing_is_lost(answers in vec((0..4u8, 0..100_000i64, 0.0..1.0f64), 1..200)) {
            let mut outbox = Outbox::default();
            let (mut second, mut pushed, mut out) = (0, 0, vec![]);
            for (answer, pause, chance) in answers {
                second += pause;
                if answer == 3 {
                    prop_assert!(outbox.push(message(pushed, second), 0).is_none());
                    pushed += 1;
                }
                let Due::Now(message) = outbox.due(at(second)) else { continue };
                prop_assert_eq!(&message.key, &out.len().to_string());
                let outcome = match answer {
                    0 => Outcome::Delivered,
                    1 => Outcome::Refused("no".to_string()),
                    _ => Outcome::Failed("away".to_string()),
                };
                let settled = outbox.settle(&message.key, outcome, at(second), chance).unwrap();
                if settled.state != State::Waiting {
                    out.push(settled.message.key.clone());
                }
            }
            prop_assert_eq!(out.len() + outbox.waiting(), pushed);
            prop_assert_eq!(usize::try_from(outbox.delivered + outbox.given_up).unwrap(), out.len());
        }
    }
}
