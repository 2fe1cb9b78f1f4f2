//! Intervals as PostgreSQL reads them: `1 day -02:03:04.5`, `2 years 3 mons ago`, `@ 1 hour`, `1-2`, `P1DT2H`.

const SECOND_US: f64 = 1_000_000.0;
const DAY_US: f64 = 86_400.0 * SECOND_US;

/// Months, days and microseconds of a text; `None` if it is no interval.
pub fn interval_parts(text: &str) -> Option<(i32, i32, i64)> {
    let text = text.trim().to_lowercase();
    let mut parts = Parts::default();
    match text.strip_prefix('p') {
        Some(iso) => iso8601(iso, &mut parts)?,
        None => words(&text, &mut parts)?,
    }
    let whole = |number: f64, most: f64| (number.abs() <= most).then_some(number);
    let months = whole(parts.months.round(), f64::from(i32::MAX))?;
    let days = whole(parts.days, f64::from(i32::MAX))?;
    let us = whole(parts.us.round(), i64::MAX as f64)?;
    Some((months as i32, days as i32, us as i64))
}

#[derive(Default)]
struct Parts {
    months: f64,
    days: f64,
    us: f64,
}

impl Parts {
    /// Adds a number of units; what is left of a day becomes hours, as in PostgreSQL.
    fn add(&mut self, number: f64, unit: &str) -> Option<()> {
        let years = match unit {
            "millennium" | "millennia" | "millenniums" | "mil" | "mils" => 1_000.0,
            "century" | "centuries" | "cent" | "c" => 100.0,
            "decade" | "decades" | "dec" | "decs" => 10.0,
            "year" | "years" | "yr" | "yrs" | "y" => 1.0,
            _ => 0.0,
        };
        let seconds = match unit {
            "hour" | "hours" | "hr" | "hrs" | "h" => 3_600.0,
            "minute" | "minutes" | "min" | "mins" | "m" => 60.0,
            "second" | "seconds" | "sec" | "secs" | "s" => 1.0,
            "millisecond" | "milliseconds" | "msec" | "msecs" | "ms" => 0.001,
            "microsecond" | "microseconds" | "usec" | "usecs" | "us" => 0.000_001,
            _ => 0.0,
        };
        if years > 0.0 {
            self.months += number * years * 12.0;
        } else if seconds > 0.0 {
            self.us += number * seconds * SECOND_US;
        } else {
            match unit {
                "month" | "months" | "mon" | "mons" => {
                    self.months += number.trunc();
                    self.add_days(number.fract() * 30.0);
                }
                "week" | "weeks" | "w" => self.add_days(number * 7.0),
                "day" | "days" | "d" => self.add_days(number),
                _ => return None,
            }
        }
        Some(())
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc();
        self.us += days.fract() * DAY_US;
    }

    fn negate(&mut self) {
        (self.months, self.days, self.us) = (-self.months, -self.days, -self.us);
    }
}

fn words(text: &str, parts: &mut Parts) -> Option<()> {
    let mut words = text.strip_prefix('@').unwrap_or(text).split_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word == "ago" {
            parts.negate();
            return words.next().is_none().then_some(());
        }
        // A sign may stand for itself.
        let signed = match word {
            "-" | "+" => format!("{word}{}", words.next()?),
            word => word.to_string(),
        };
        let word = signed.as_str();
        if word.contains(':') {
            parts.us += time(word)?;
            continue;
        }
        if let Some((years, months)) = years_and_months(word) {
            parts.months += years * 12.0 + months;
            continue;
        }
        let end = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, unit) = word.split_at(end);
        let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite())?;
        let unit = match (unit, words.peek()) {
            // A bare number at the end counts seconds.
            ("", None | Some(&"ago")) => "s",
            // Before a clock it counts days.
            ("", Some(clock)) if clock.contains(':') => "d",
            ("", Some(_)) => words.next()?,
            (unit, _) => unit,
        };
        parts.add(number, unit)?;
    }
    Some(())
}

/// `[-]years-months`
fn years_and_months(word: &str) -> Option<(f64, f64)> {
    let (sign, word) = word.strip_prefix('-').map_or((1.0, word), |word| (-1.0, word));
    let (years, months) = word.split_once('-')?;
    let (years, months) = (years.parse::<u32>().ok()?, months.parse::<u32>().ok().filter(|of| *of < 12)?);
    Some((sign * f64::from(years), sign * f64::from(months)))
}

/// `[-]hours:minutes[:seconds]` in microseconds.
fn time(word: &str) -> Option<f64> {
    let (sign, word) = match word.strip_prefix('-') {
        Some(word) => (-1.0, word),
        None => (1.0, word.strip_prefix('+').unwrap_or(word)),
    };
    let mut fields = word.split(':');
    let (hours, minutes) = (fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?);
    let seconds: f64 = fields.next().map_or(Some(0.0), |field| field.parse().ok())?;
    let fits = minutes < 60 && (0.0..61.0).contains(&seconds) && fields.next().is_none();
    fits.then_some(sign * (f64::from(hours) * 3_600.0 + f64::from(minutes) * 60.0 + seconds) * SECOND_US)
}

/// `1Y2M3W4DT5H6M7.8S`.
fn iso8601(text: &str, parts: &mut Parts) -> Option<()> {
    let (mut rest, mut in_time) = (text, false);
    if ["", "t"].contains(&rest) {
        return None;
    }
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('t') {
            (rest, in_time) = (after, true);
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = match (&rest[end..=end], in_time) {
            ("m", false) => "mon",
            (unit @ ("y" | "w" | "d"), false) | (unit @ ("h" | "m" | "s"), true) => unit,
            _ => return None,
        };
        parts.add(number, unit)?;
        rest = &rest[end + 1..];
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::interval_parts;

    #[test]
    fn texts_that_postgresql_reads() {
        const S: i64 = 1_000_000;
        for (text, expected) in [
            ("1 day 0:00:05", (0, 1, 5 * S)),
            ("-1 days +02:03:04.5", (0, -1, 7384 * S + S / 2)),
            ("1 year 2 mons", (14, 0, 0)),
            ("0 years 0 mons 1 days 0 hours 0 mins 5.25 secs", (0, 1, 5 * S + S / 4)),
            ("2 years 3 mons 4 days 05:00 ago", (-27, -4, -18_000 * S)),
            ("@ 1 hour", (0, 0, 3600 * S)),
            ("1.5 days", (0, 1, 43_200 * S)),
            ("1.5 months", (1, 15, 0)),
            ("2w", (0, 14, 0)),
            ("30", (0, 0, 30 * S)),
            ("-00:00:01", (0, 0, -S)),
            ("100:00:00", (0, 0, 360_000 * S)),
            ("1 microsecond", (0, 0, 1)),
            ("P1Y2M3DT4H5M6.5S", (14, 3, 14_706 * S + S / 2)),
            ("PT36H", (0, 0, 129_600 * S)),
            ("P2W", (0, 14, 0)),
            ("1-2", (14, 0, 0)),
            ("1 2:30", (0, 1, 9_000 * S)),
            ("-1-2 3 days", (-14, 3, 0)),
            ("1 month - 1 second", (1, 0, -S)),
            ("1.5 weeks", (0, 10, 43_200 * S)),
        ] {
            assert_eq!(interval_parts(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "@",
            "day",
            "1 moon",
            "1:2:3:4",
            "1:60",
            "ago 1 day",
            "P",
            "P1",
            "P1H",
            "1 day x",
            "1e400 s",
            "1-12",
            "1 day -",
        ] {
            assert_eq!(interval_parts(text), None, "{text}");
        }
    }
}
