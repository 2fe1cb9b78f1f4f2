//! PostgreSQL's patterns for numbers: `FM999,990.00`, `S9999`, `0009`.

use datafusion::common::{Result, exec_err};

/// The first letters of what means something in a pattern.
const KEYS: &str = "09.,DFGLMPRSTV";

/// A pattern, read once.
#[derive(Clone, Debug, Default)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    /// Places before and behind the point.
    whole: usize,
    decimals: usize,
    /// `V`: the number is shown times ten for each place behind it.
    shift: Option<usize>,
    /// `EEEE`
    scientific: bool,
    unpadded: bool,
    sign: Sign,
    ordinal: Option<bool>,
    roman: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A digit; `true` shows zeros.
    Digit(bool),
    Point,
    Group,
    Letter(char),
    /// `S`, `SG`, `MI` or `PL` where they stand.
    Sign,
}

/// How the sign is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sign {
    /// A minus before the first digit.
    #[default]
    Leading,
    /// `S` before the digits: plus or minus beside the first.
    Anchored,
    /// `SG`, and `S` behind the digits.
    Always,
    /// `MI`
    Minus,
    /// `PL`
    Plus,
    /// `PR`
    Brackets,
}

impl Pattern {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Result<Self> {
        let mut pattern = Pattern::default();
        let mut rest = text;
        let mut behind_point = false;
        while let Some(first) = rest.chars().next() {
            if rest.get(..4).is_some_and(|four| four.eq_ignore_ascii_case("EEEE")) {
                pattern.exponent()?;
                rest = &rest[4..];
                continue;
            }
            if pattern.scientific && KEYS.contains(first.to_ascii_uppercase()) {
                return exec_err!("\"EEEE\" must be the last pattern used");
            }
            let two: String = rest.chars().take(2).flat_map(char::to_uppercase).collect();
            let taken = match two.as_str() {
                "FM" => {
                    pattern.unpadded = true;
                    2
                }
                "TH" => {
                    pattern.ordinal = Some(rest.starts_with('T'));
                    2
                }
                "RN" => {
                    pattern.roman = Some(rest.starts_with('R'));
                    2
                }
                "PR" => {
                    pattern.sign = Sign::Brackets;
                    2
                }
                "MI" | "PL" | "SG" => {
                    pattern.sign = match two.as_str() {
                        "MI" => Sign::Minus,
                        "PL" => Sign::Plus,
                        _ => Sign::Always,
                    };
                    pattern.pieces.push(Piece::Sign);
                    2
                }
                _ => {
                    pattern.letter(first, &mut behind_point, &mut rest)?;
                    continue;
                }
            };
            rest = rest.get(taken..).unwrap_or("");
        }
        Ok(pattern)
    }

    fn exponent(&mut self) -> Result<()> {
        let is_plain = self.sign == Sign::Leading && !self.unpadded && self.roman.is_none();
        if !is_plain || self.shift.is_some() {
            return exec_err!("\"EEEE\" is incompatible with other formats");
        }
        if self.scientific {
            return exec_err!("cannot use \"EEEE\" twice");
        }
        self.scientific = true;
        Ok(())
    }

    fn letter(&mut self, first: char, behind_point: &mut bool, rest: &mut &str) -> Result<()> {
        if matches!((first, self.shift), ('.' | 'D' | 'd', Some(_)))
            || *behind_point && matches!(first, 'V' | 'v')
        {
            return exec_err!("cannot use \"V\" and decimal point together");
        }
        *rest = rest.get(first.len_utf8()..).unwrap_or("");
        let piece = match first {
            'V' | 'v' => {
                self.shift.get_or_insert(0);
                return Ok(());
            }
            '9' | '0' => {
                if let ('9', Some(shift)) = (first, &mut self.shift) {
                    *shift += 1;
                }
                *(if *behind_point { &mut self.decimals } else { &mut self.whole }) += 1;
                Piece::Digit(first == '0')
            }
            '.' | 'D' | 'd' if !*behind_point => {
                *behind_point = true;
                Piece::Point
            }
            ',' | 'G' | 'g' => Piece::Group,
            'S' | 's' => {
                self.sign = if self.whole + self.decimals == 0 { Sign::Anchored } else { Sign::Always };
                Piece::Sign
            }
            // The currency of this locale is a space.
            'L' | 'l' => Piece::Letter(' '),
            '"' => {
                let end = rest.find('"').unwrap_or(rest.len());
                self.pieces.extend(rest[..end].chars().map(Piece::Letter));
                *rest = rest.get(end + 1..).unwrap_or("");
                return Ok(());
            }
            other => Piece::Letter(other),
        };
        self.pieces.push(piece);
        Ok(())
    }

    /// Its pieces in order.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Digits that are shown behind the point.
    pub(super) fn decimals(&self) -> usize {
        if self.roman.is_some() { 0 } else { self.decimals }
    }

    /// Digits behind the point that a number is rounded to.
    pub(super) fn rounded_to(&self) -> usize {
        self.decimals() + self.shift.unwrap_or(0)
    }

    pub(super) fn is_scientific(&self) -> bool {
        self.scientific
    }

    /// The text for a number's digits, of which the first stands before the point, and the power of ten that they are of;
    /// nothing of them where it is no finite number.
    pub(super) fn format_scientific(&self, number: Option<(&str, i32)>, is_negative: bool) -> String {
        let Some((digits, exponent)) = number else {
            return format!(" {}.{}", "#".repeat(self.whole), "#".repeat(self.decimals + 4));
        };
        let (sign, direction) = (if is_negative { '-' } else { ' ' }, if exponent < 0 { '-' } else { '+' });
        let (first, behind) = digits.split_at(digits.len().min(1));
        let point = if behind.is_empty() { "" } else { "." };
        format!("{sign}{first}{point}{behind}e{direction}{:02}", exponent.abs())
    }

    /// The text for a number that is rounded to [`Pattern::rounded_to`]: its digits, with a point among them.
    pub(super) fn format(&self, digits: &str, is_negative: bool) -> String {
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let shifted = self.shift.map(|shift| format!("{whole}{decimals:0<shift$}"));
        let (whole, decimals) = shifted.as_deref().map_or((whole, decimals), |shifted| (shifted, ""));
        let whole = whole.trim_start_matches('0');
        if let Some(is_upper) = self.roman {
            let numeral = whole.parse().ok().filter(|_| !is_negative).and_then(roman);
            let numeral = numeral.unwrap_or_else(|| "#".repeat(15));
            let numeral = if is_upper { numeral } else { numeral.to_lowercase() };
            return if self.unpadded { numeral } else { format!("{numeral:>15}") };
        }
        if whole.len() > self.whole {
            return self.write("", "", is_negative, true);
        }
        self.write(whole, decimals, is_negative, false)
    }

    fn write(&self, whole: &str, decimals: &str, is_negative: bool, overflows: bool) -> String {
        let mut text = String::new();
        let (mut place, mut decimal) = (0, 0);
        let mut behind_point = false;
        // From the first 0 on, and from the first digit on, places are not blank.
        let mut begun = false;
        let first = self.whole - whole.len();
        let significant = self.significant(decimals);
        for piece in &self.pieces {
            match piece {
                Piece::Digit(_) if behind_point => {
                    let digit = decimals.as_bytes().get(decimal).map_or('0', |digit| char::from(*digit));
                    if overflows {
                        text.push('#');
                    } else if !self.unpadded || decimal < significant {
                        text.push(digit);
                    }
                    decimal += 1;
                }
                Piece::Digit(zero) => {
                    // A number without whole digits shows a zero in the last place, unless decimals follow.
                    let is_last = place + 1 == self.whole && self.decimals == 0;
                    let shows = overflows || place >= first || *zero || begun || is_last;
                    if shows && !begun {
                        self.put_sign(&mut text, is_negative);
                        begun = true;
                    }
                    if overflows {
                        text.push('#');
                    } else if place >= first {
                        text.push(char::from(whole.as_bytes()[place - first]));
                    } else if shows {
                        text.push('0');
                    } else if !self.unpadded {
                        text.push(' ');
                    }
                    place += 1;
                }
                Piece::Point => {
                    if !begun {
                        self.put_sign(&mut text, is_negative);
                        begun = true;
                    }
                    behind_point = true;
                    text.push('.');
                }
                Piece::Group if begun => text.push(','),
                Piece::Group => text.push_str(if self.unpadded { "" } else { " " }),
                Piece::Letter(letter) => text.push(*letter),
                Piece::Sign => text.push_str(self.sign_here(is_negative)),
            }
        }
        if self.sign == Sign::Brackets && (is_negative || !self.unpadded) {
            text.push(if is_negative { '>' } else { ' ' });
        }
        if let Some(upper) = self.ordinal.filter(|_| !is_negative && self.decimals == 0) {
            text.push_str(super::ordinal(if whole.is_empty() { "0" } else { whole }, upper));
        }
        text
    }

    /// Decimals that are shown when zeros at the end are not.
    fn significant(&self, decimals: &str) -> usize {
        let digits = self.pieces.iter().skip_while(|piece| **piece != Piece::Point).skip(1);
        let asked = digits.filter(|piece| matches!(piece, Piece::Digit(_)));
        let zeros = asked.enumerate().filter(|(_, piece)| **piece == Piece::Digit(true));
        let wanted = zeros.map(|(index, _)| index + 1).last().unwrap_or(0);
        wanted.max(decimals.trim_end_matches('0').len())
    }

    fn put_sign(&self, text: &mut String, is_negative: bool) {
        match (self.sign, is_negative) {
            (Sign::Leading, true) => text.push('-'),
            (Sign::Anchored, is_negative) => text.push(if is_negative { '-' } else { '+' }),
            (Sign::Brackets, true) => text.push('<'),
            (Sign::Leading | Sign::Brackets, false) if !self.unpadded => text.push(' '),
            _ => {}
        }
    }

    fn sign_here(&self, is_negative: bool) -> &'static str {
        match (self.sign, is_negative) {
            (Sign::Anchored | Sign::Leading | Sign::Brackets, _) => "",
            (Sign::Always | Sign::Minus, true) => "-",
            (Sign::Always | Sign::Plus, false) => "+",
            _ if self.unpadded => "",
            _ => " ",
        }
    }
}

fn roman(mut number: u32) -> Option<String> {
    const NUMERALS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..4000).contains(&number) {
        return None;
    }
    let mut text = String::new();
    for (value, numeral) in NUMERALS {
        while number >= value {
            text.push_str(numeral);
            number -= value;
        }
    }
    Some(text)
}
