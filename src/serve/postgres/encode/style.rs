//! How a session wants values printed, as its settings say.

use crate::serve::Error;
use crate::serve::datetime::Order;
use crate::serve::settings::Settings;
use arrow::array::timezone::Tz;

/// How the session wants values printed.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve::postgres) struct Style {
    /// Where timestamps with time zone are shown.
    pub(in crate::serve::postgres) zone: Tz,
    /// The same zone with its letters, if it has any: `CET`.
    pub(super) letters: Option<chrono_tz::Tz>,
    /// In which form values are.
    pub(super) forms: Forms,
}

/// The forms that values have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::serve) struct Forms {
    /// Digits of floats beside those that are always right; all that are needed if above zero.
    pub(super) extra_float_digits: i32,
    /// The form of dates.
    pub(super) dates: Dates,
    /// Which of a date's numbers stands first, where the form leaves it open, and how such are read.
    pub(in crate::serve) order: Order,
    /// The form of intervals.
    pub(super) intervals: Intervals,
    /// Bytes are characters with octal escapes, not hexadecimal digits.
    pub(super) escapes_bytes: bool,
}

/// The first word of `DateStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Dates {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// `IntervalStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Intervals {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

impl Default for Forms {
    /// As unless a session says otherwise: floats in full.
    fn default() -> Self {
        Self {
            extra_float_digits: 1,
            dates: Dates::default(),
            order: Order::default(),
            intervals: Intervals::default(),
            escapes_bytes: false,
        }
    }
}

impl Forms {
    /// As a session's settings say.
    pub(in crate::serve) fn of(settings: &Settings) -> Result<Self, Error> {
        let dates = settings.get("DateStyle")?;
        Ok(Self {
            extra_float_digits: settings.get("extra_float_digits")?.parse().unwrap_or(1),
            dates: match dates.split(',').next() {
                Some("SQL") => Dates::Sql,
                Some("Postgres") => Dates::Postgres,
                Some("German") => Dates::German,
                _ => Dates::Iso,
            },
            order: Order::of(&dates),
            intervals: match settings.get("IntervalStyle")?.as_str() {
                "postgres_verbose" => Intervals::PostgresVerbose,
                "sql_standard" => Intervals::SqlStandard,
                "iso_8601" => Intervals::Iso8601,
                _ => Intervals::Postgres,
            },
            escapes_bytes: settings.get("bytea_output")? == "escape",
        })
    }

    /// Dates are written as the engine writes them, too.
    pub(in crate::serve) fn has_iso_dates(self) -> bool {
        self.dates == Dates::Iso
    }

    pub(super) fn day_first(self) -> bool {
        self.order == Order::Dmy
    }
}

impl Style {
    /// Everything as unless said otherwise.
    pub(in crate::serve::postgres) fn exact(zone: Tz) -> Self {
        Self::in_zone(zone, Forms::default())
    }

    /// Values of a form, in a zone.
    pub(in crate::serve::postgres) fn in_zone(zone: Tz, forms: Forms) -> Self {
        Self { zone, letters: zone.to_string().parse().ok(), forms }
    }

    /// As a session's settings say.
    pub(in crate::serve::postgres) fn of(settings: &Settings) -> Result<Self, Error> {
        let zone = settings.time_zone();
        let unknown = || Error::new("22023", format!("time zone \"{zone}\" not recognized"));
        Ok(Self::in_zone(zone.parse().map_err(|_| unknown())?, Forms::of(settings)?))
    }

    /// JSON has its own form of dates.
    pub(super) fn of_json(self) -> Self {
        Self { forms: Forms { dates: Dates::Iso, ..self.forms }, ..self }
    }
}
