//! PostgreSQL's patterns for times: `YYYY-MM-DD HH24:MI:SS`, `FMMonth`, `ID`.

use std::fmt::Write as _;

/// What a pattern may ask of a moment or of a length of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub(super) year: i32,
    /// 1 to 12; of an interval 0 to 11.
    pub(super) month: i32,
    pub(super) day: i32,
    pub(super) hour: i64,
    pub(super) minute: i64,
    pub(super) second: i64,
    pub(super) microsecond: i64,
    /// Of a moment only.
    pub(super) calendar: Option<Calendar>,
    /// Seconds east of Greenwich, and the zone's name.
    pub(super) zone: Option<(i32, String)>,
}

/// Where in the calendar a day lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    /// 1 is Monday.
    pub(super) weekday: i32,
    pub(super) day_of_year: i32,
    pub(super) iso_year: i32,
    pub(super) iso_week: i32,
    pub(super) julian_day: i32,
}

/// A pattern, read once.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub(super) Vec<Piece>);

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(String),
    Field { keyword: &'static str, lower: bool, unpadded: bool, ordinal: Option<bool> },
}

/// Longer ones before those that they begin with. Names of months and days are told apart by their letters' case.
const KEYWORDS: [&str; 57] = [
    "SSSSS", "YYYY", "IYYY", "IDDD", "SSSS", "HH24", "HH12", "A.D.", "B.C.", "A.M.", "P.M.", "MONTH",
    "Month", "YYY", "Y,YYY", "IYY", "DDD", "MON", "Mon", "DAY", "Day", "FF1", "FF2", "FF3", "FF4", "FF5",
    "FF6", "TZH", "TZM", "YY", "IY", "DD", "DY", "Dy", "ID", "IW", "WW", "MM", "MI", "MS", "US", "SS", "HH",
    "AD", "BC", "AM", "PM", "CC", "RM", "TZ", "OF", "Y", "I", "D", "W", "Q", "J",
];

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
/// Letters of the longest month's and day's name.
const NAME_WIDTH: usize = 9;

impl Pattern {
    /// Reads a pattern; what is none of PostgreSQL's words stands for itself.
    pub(super) fn new(text: &str) -> Self {
        let mut pieces: Vec<Piece> = vec![];
        let mut rest = text;
        let mut literal = String::new();
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix('"') {
                let end = quoted.find('"').unwrap_or(quoted.len());
                literal.push_str(&quoted[..end]);
                rest = quoted.get(end + 1..).unwrap_or("");
                continue;
            }
            if let Some((field, behind)) = field(rest) {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(field);
                rest = behind;
                continue;
            }
            let mut letters = rest.chars();
            literal.extend(letters.next());
            rest = letters.as_str();
        }
        pieces.push(Piece::Text(literal));
        Self(pieces)
    }

    /// The text for a time; `None` where the pattern asks what a length of time does not have.
    pub(super) fn format(&self, parts: &Parts) -> Option<String> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => text.push_str(literal),
                Piece::Field { keyword, lower, unpadded, ordinal } => {
                    let value = parts.field(keyword, *unpadded)?;
                    let value = if *lower { value.to_lowercase() } else { value };
                    text.push_str(&value);
                    if let Some(upper) = ordinal {
                        text.push_str(super::ordinal(&value, *upper));
                    }
                }
            }
        }
        Some(text)
    }
}

/// A field with `FM` before it or `TH` behind it.
fn field(text: &str) -> Option<(Piece, &str)> {
    let bare = text.strip_prefix("FM").or_else(|| text.strip_prefix("fm"));
    let (keyword, lower, behind) = keyword(bare.unwrap_or(text))?;
    let ordinal = match behind.get(..2) {
        Some("TH") => Some(true),
        Some("th") => Some(false),
        _ => None,
    };
    let behind = if ordinal.is_some() { &behind[2..] } else { behind };
    Some((Piece::Field { keyword, lower, unpadded: bare.is_some(), ordinal }, behind))
}

fn keyword(text: &str) -> Option<(&'static str, bool, &str)> {
    KEYWORDS.iter().find_map(|keyword| {
        let head = text.get(..keyword.len())?;
        let is_lower = head == keyword.to_lowercase() && head != *keyword;
        (head == *keyword || is_lower).then(|| (*keyword, is_lower, &text[keyword.len()..]))
    })
}

impl Parts {
    fn field(&self, keyword: &str, unpadded: bool) -> Option<String> {
        let number = |value: i64, width: usize| match unpadded {
            true => value.to_string(),
            false => padded(value, width),
        };
        let name = |name: &str| match unpadded {
            true => name.to_string(),
            false => format!("{name:NAME_WIDTH$}"),
        };
        let year = |year: i32| if year > 0 || self.calendar.is_none() { year } else { 1 - year };
        let (own, hour12) = (i64::from(year(self.year)), self.hour.rem_euclid(12));
        let is_afternoon = self.hour.rem_euclid(24) >= 12;
        let calendar = self.calendar.as_ref();
        let short = |year: i64, digits: u32| number(year.rem_euclid(10_i64.pow(digits)), digits as usize);
        let iso = || calendar.map(|calendar| i64::from(year(calendar.iso_year)));
        Some(match keyword {
            "YYYY" => number(own, 4),
            "Y,YYY" => format!("{},{:03}", own / 1000, own.rem_euclid(1000)),
            "YYY" => short(own, 3),
            "YY" => short(own, 2),
            "Y" => short(own, 1),
            "IYYY" => number(iso()?, 4),
            "IYY" => short(iso()?, 3),
            "IY" => short(iso()?, 2),
            "I" => short(iso()?, 1),
            "AD" | "BC" => (if self.year > 0 { "AD" } else { "BC" }).to_string(),
            "A.D." | "B.C." => (if self.year > 0 { "A.D." } else { "B.C." }).to_string(),
            "CC" => number(if own > 0 { (own - 1).div_euclid(100) + 1 } else { own / 100 }, 2),
            "Q" => calendar.map(|_| ((self.month - 1) / 3 + 1).to_string())?,
            "MONTH" => name(&self.month_name()?.to_uppercase()),
            "Month" => name(self.month_name()?),
            "MON" => self.month_name()?[..3].to_uppercase(),
            "Mon" => self.month_name()?[..3].to_string(),
            "MM" => number(i64::from(self.month), 2),
            "RM" => {
                let roman = ROMAN[usize::try_from(self.month.checked_sub(1)?).ok()?.min(11)];
                if unpadded { roman.to_string() } else { format!("{roman:4}") }
            }
            "DAY" => name(&calendar?.day_name().to_uppercase()),
            "Day" => name(calendar?.day_name()),
            "DY" => calendar?.day_name()[..3].to_uppercase(),
            "Dy" => calendar?.day_name()[..3].to_string(),
            "DDD" => number(i64::from(calendar?.day_of_year), 3),
            "IDDD" => number(i64::from((calendar?.iso_week - 1) * 7 + calendar?.weekday), 3),
            "DD" => number(i64::from(self.day), 2),
            "D" => (calendar?.weekday % 7 + 1).to_string(),
            "ID" => calendar?.weekday.to_string(),
            "W" => calendar.map(|_| ((self.day - 1) / 7 + 1).to_string())?,
            "J" => calendar?.julian_day.to_string(),
            "WW" => number(i64::from((calendar?.day_of_year - 1) / 7 + 1), 2),
            "IW" => number(i64::from(calendar?.iso_week), 2),
            "HH24" => number(self.hour, 2),
            "HH" | "HH12" => number(if hour12 == 0 { 12 } else { hour12 }, 2),
            "AM" | "PM" => (if is_afternoon { "PM" } else { "AM" }).to_string(),
            "A.M." | "P.M." => (if is_afternoon { "P.M." } else { "A.M." }).to_string(),
            "MI" => number(self.minute, 2),
            "SS" => number(self.second, 2),
            "SSSS" | "SSSSS" => (self.hour * 3600 + self.minute * 60 + self.second).to_string(),
            "MS" | "FF3" => format!("{:03}", self.microsecond / 1000),
            "US" | "FF6" => format!("{:06}", self.microsecond),
            "FF1" => (self.microsecond / 100_000).to_string(),
            "FF2" => format!("{:02}", self.microsecond / 10_000),
            "FF4" => format!("{:04}", self.microsecond / 100),
            "FF5" => format!("{:05}", self.microsecond / 10),
            "TZ" => self.zone.as_ref().map(|(_, name)| name.clone()).unwrap_or_default(),
            "TZH" => self.offset(|sign, hours, _| format!("{sign}{hours:02}")),
            "TZM" => self.offset(|_, _, minutes| format!("{minutes:02}")),
            "OF" => self.offset(|sign, hours, minutes| match minutes {
                0 => format!("{sign}{hours:02}"),
                _ => format!("{sign}{hours:02}:{minutes:02}"),
            }),
            _ => return None,
        })
    }

    fn month_name(&self) -> Option<&'static str> {
        self.calendar?;
        MONTHS.get(usize::try_from(self.month).ok()?.checked_sub(1)?).copied()
    }

    fn offset(&self, written: impl Fn(char, i32, i32) -> String) -> String {
        let seconds = self.zone.as_ref().map_or(0, |(seconds, _)| *seconds);
        let sign = if seconds < 0 { '-' } else { '+' };
        written(sign, seconds.abs() / 3600, seconds.abs() / 60 % 60)
    }
}

impl Calendar {
    fn day_name(&self) -> &'static str {
        usize::try_from(self.weekday - 1).ok().and_then(|index| DAYS.get(index)).copied().unwrap_or("")
    }
}

/// Zeros stand behind the sign and do not count it.
fn padded(value: i64, width: usize) -> String {
    let mut text = String::new();
    let _ = match value < 0 {
        true => write!(text, "-{:0width$}", value.unsigned_abs()),
        false => write!(text, "{value:0width$}"),
    };
    text
}
