//! Limits by name: their variables and their ranges.

use super::{Error, LimitSettings};
use std::ops::RangeInclusive;

/// One limit: how it is called in `[limits]`, what it may be, how it is read and set.
struct Limit {
    name: &'static str,
    range: RangeInclusive<u64>,
    get: fn(&LimitSettings) -> u64,
    set: fn(&mut LimitSettings, u64),
}

const MIB: u64 = 1 << 20;
const DAY_MS: u64 = 86_400_000;
const YEAR_SECONDS: u64 = 366 * 86_400;

/// Every limit. Sizes that become `usize` stay below what 32 bits hold or are cut by their range.
const LIMITS: &[Limit] = &[
    Limit {
        name: "query_memory_bytes_max",
        range: 16 * MIB..=1 << 50,
        get: |l| l.query_memory_bytes_max as u64,
        set: |l, v| l.query_memory_bytes_max = usize::try_from(v).unwrap_or(usize::MAX),
    },
    Limit {
        name: "connections_max",
        range: 1..=100_000,
        get: |l| l.connections_max as u64,
        set: |l, v| l.connections_max = usize::try_from(v).unwrap_or(usize::MAX),
    },
    Limit {
        name: "statement_timeout_ms",
        range: 0..=30 * DAY_MS,
        get: |l| l.statement_timeout_ms,
        set: |l, v| l.statement_timeout_ms = v,
    },
    Limit {
        name: "stall_ms_max",
        range: 100..=DAY_MS,
        get: |l| l.stall_ms_max,
        set: |l, v| l.stall_ms_max = v,
    },
    Limit {
        name: "flush_age_ms_max",
        range: 1..=60_000,
        get: |l| l.flush_age_ms_max,
        set: |l, v| l.flush_age_ms_max = v,
    },
    Limit {
        name: "push_bytes_max",
        range: 1_024..=1_024 * MIB,
        get: |l| l.push_bytes_max as u64,
        set: |l, v| l.push_bytes_max = usize::try_from(v).unwrap_or(usize::MAX),
    },
    Limit {
        name: "token_idle_seconds_max",
        range: 1..=YEAR_SECONDS,
        get: |l| l.token_idle_seconds_max,
        set: |l, v| l.token_idle_seconds_max = v,
    },
    Limit {
        name: "ticket_idle_seconds_max",
        range: 1..=YEAR_SECONDS,
        get: |l| l.ticket_idle_seconds_max,
        set: |l, v| l.ticket_idle_seconds_max = v,
    },
    Limit {
        name: "waves_per_second_max",
        range: 1..=1_000,
        get: |l| u64::from(l.waves_per_second_max),
        set: |l, v| l.waves_per_second_max = u32::try_from(v).unwrap_or(u32::MAX),
    },
    Limit {
        name: "retries_max",
        range: 0..=1_000,
        get: |l| u64::from(l.retries_max),
        set: |l, v| l.retries_max = u32::try_from(v).unwrap_or(u32::MAX),
    },
    Limit {
        name: "epochs_keep_seconds",
        range: 1..=YEAR_SECONDS,
        get: |l| l.epochs_keep_seconds,
        set: |l, v| l.epochs_keep_seconds = v,
    },
    Limit {
        name: "journals_keep_seconds",
        range: 1..=100 * YEAR_SECONDS,
        get: |l| l.journals_keep_seconds,
        set: |l, v| l.journals_keep_seconds = v,
    },
];

const PREFIX: &str = "SLUICE_LIMITS_";

/// The limit that a variable sets: `SLUICE_LIMITS_CONNECTIONS_MAX` sets `connections_max`.
pub(super) fn by_variable(variable: &str) -> Option<&'static str> {
    let name = variable.strip_prefix(PREFIX)?.to_ascii_lowercase();
    LIMITS.iter().map(|limit| limit.name).find(|known| *known == name)
}

/// The variables of all limits.
pub(super) fn variables() -> Vec<String> {
    LIMITS.iter().map(|limit| format!("{PREFIX}{}", limit.name.to_ascii_uppercase())).collect()
}

/// Sets a limit from a variable.
pub(super) fn set(limits: &mut LimitSettings, name: &str, value: u64, variable: &str) -> Result<(), Error> {
    let Some(limit) = LIMITS.iter().find(|limit| limit.name == name) else { return Ok(()) };
    if !limit.range.contains(&value) {
        return Err(Error::Variable { variable: variable.to_string(), expected: described(limit) });
    }
    (limit.set)(limits, value);
    Ok(())
}

/// The first limit out of its range, and what it may be.
pub(super) fn out_of_range(limits: &LimitSettings) -> Option<(&'static str, String)> {
    let limit = LIMITS.iter().find(|limit| !limit.range.contains(&(limit.get)(limits)))?;
    Some((limit.name, described(limit)))
}

fn described(limit: &Limit) -> String {
    format!("a number from {} to {}", limit.range.start(), limit.range.end())
}
