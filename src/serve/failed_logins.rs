//! Logins that failed, as they are noted: the first of an address at once, those that follow it counted, so that a flood of
//! them fills no disk. Pure.
//!
//! Comes in: each failure. Goes out: rows for the audit log, of an address and a protocol two a minute at most, and of so many
//! of these; those beyond are counted together.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// For how long failures of an address are counted behind the first.
const COUNTED: TimeDelta = TimeDelta::minutes(1);
/// Addresses, by protocol, that are told apart at a time.
const ADDRESSES_MAX: usize = 64;
/// Names that are kept of those that were tried.
const USERS_MAX: usize = 10;
/// Letters that are kept of a name: PostgreSQL's longest.
const USER_MAX: usize = 63;

/// A login that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLogin {
    /// When.
    pub at: DateTime<Utc>,
    /// As whom; empty where nobody was named.
    pub user: String,
    /// From where; `None` where there are too many to tell apart.
    pub address: Option<IpAddr>,
    /// Over which protocol.
    pub protocol: &'static str,
    /// The error's SQLSTATE.
    pub sqlstate: &'static str,
}

/// What is to be noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The failure, or the last of those that are counted.
    pub last: FailedLogin,
    /// How many there were behind the one that was noted before; 0 for the first.
    pub more: u64,
    /// As whom: the first few names.
    pub users: Vec<String>,
}

/// Failures behind the first of an address.
#[derive(Debug)]
struct Counted {
    since: DateTime<Utc>,
    last: FailedLogin,
    more: u64,
    users: Vec<String>,
}

impl Counted {
    fn noted(self) -> Option<Noted> {
        let Self { last, more, users, .. } = self;
        (more > 0).then_some(Noted { last, more, users })
    }
}

/// Who knocks, and at which door; nobody in particular where there are too many.
type Sender = (Option<IpAddr>, &'static str);

/// The failures of the last minute.
#[derive(Debug, Default)]
pub struct FailedLogins(BTreeMap<Sender, Counted>);

impl FailedLogins {
    /// Another one; what is to be noted now.
    pub fn failed(&mut self, login: FailedLogin) -> Vec<Noted> {
        let mut due = self.due(login.at);
        let user: String = login.user.chars().take(USER_MAX).collect();
        let mut login = FailedLogin { user: user.clone(), ..login };
        let mut key = (login.address.map(sender), login.protocol);
        if !self.0.contains_key(&key) && self.0.len() >= ADDRESSES_MAX {
            (key.0, login.address) = (None, None);
        }
        match self.0.get_mut(&key) {
            Some(counted) => {
                counted.more += 1;
                counted.last = login;
                if counted.users.len() < USERS_MAX && !counted.users.contains(&user) {
                    counted.users.push(user);
                }
            }
            None => {
                due.push(Noted { last: login.clone(), more: 0, users: vec![user] });
                let counted = Counted { since: login.at, last: login, more: 0, users: vec![] };
                self.0.insert(key, counted);
            }
        }
        due
    }

    /// What was counted for long enough.
    pub fn due(&mut self, now: DateTime<Utc>) -> Vec<Noted> {
        let ripe = self.0.extract_if(.., |_, counted| now - counted.since >= COUNTED);
        ripe.filter_map(|(_, counted)| counted.noted()).collect()
    }

    /// What is counted so far, before the end.
    pub fn all(&mut self) -> Vec<Noted> {
        std::mem::take(&mut self.0).into_values().filter_map(Counted::noted).collect()
    }
}

/// Whoever has one address of version 6 has all of its network.
fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn failed(second: i64, user: &str, address: &str) -> FailedLogin {
        FailedLogin {
            at: at(second),
            user: user.to_string(),
            address: Some(address.parse().unwrap()),
            protocol: "postgres",
            sqlstate: "28P01",
        }
    }

    #[test]
    fn the_first_is_noted_and_the_others_are_counted() {
        let mut logins = FailedLogins::default();
        let first = logins.failed(failed(0, "ann", "10.0.0.1"));
        assert_eq!(first, [Noted { last: failed(0, "ann", "10.0.0.1"), more: 0, users: vec!["ann".into()] }]);
        assert_eq!(logins.failed(failed(1, "bob", "10.0.0.2")).len(), 1);
        for second in 1..60 {
            assert_eq!(logins.failed(failed(second, "eve", "10.0.0.1")), []);
        }
        assert_eq!(logins.due(at(59)), []);
        let counted = Noted { last: failed(59, "eve", "10.0.0.1"), more: 59, users: vec!["eve".into()] };
        assert_eq!(logins.due(at(60)), [counted]);
        // What comes after is a first again.
        assert_eq!(logins.failed(failed(61, "eve", "10.0.0.1"))[0].more, 0);
        assert_eq!(logins.all(), []);
    }

    #[test]
    fn a_flood_from_everywhere_makes_few_rows() {
        let mut logins = FailedLogins::default();
        let mut rows = 0;
        for minute in 0..10 {
            for sender in 0..20_000_u32 {
                let address = Ipv6Addr::from(u128::from(sender) << 64);
                let second = minute * 60 + i64::from(sender) / 400;
                rows += logins.failed(failed(second, &sender.to_string(), &address.to_string())).len();
            }
        }
        rows += logins.all().len();
        assert!(rows <= 11 * 2 * (ADDRESSES_MAX + 1), "{rows}");
        let together = FailedLogins::default().failed(failed(0, &"x".repeat(1000), "fe80::1"));
        assert_eq!(together[0].last.user.len(), USER_MAX);
    }

    #[test]
    fn a_network_of_version_6_is_one_sender() {
        let mut logins = FailedLogins::default();
        assert_eq!(logins.failed(failed(0, "ann", "2001:db8::1")).len(), 1);
        assert_eq!(logins.failed(failed(1, "ann", "2001:db8::2:1")), []);
        assert_eq!(logins.failed(failed(1, "ann", "2001:db8:0:1::1")).len(), 1);
        assert_eq!(logins.failed(failed(1, "ann", "::ffff:10.0.0.1")).len(), 1);
        assert_eq!(logins.failed(failed(1, "ann", "10.0.0.1")), []);
    }
}
