//! What masking leaves of a text.

/// Stands for anything from one letter to all of them, so that not even the length is told.
const HIDDEN: &str = "***";
/// Digits of a phone number that stay readable.
const PHONE_DIGITS_SHOWN: usize = 4;
/// A number with fewer digits than this would be given away by the ones that stay.
const PHONE_DIGITS_MIN: usize = 7;

/// The first letter and the domain: `a***@example.com`. What is no address is hidden whole.
pub(crate) fn email(address: &str) -> String {
    let trimmed = address.trim();
    match trimmed.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
            // A local part of one letter would be told whole.
            let first = local.chars().next().filter(|_| local.chars().nth(1).is_some());
            first.into_iter().chain(HIDDEN.chars()).chain(['@']).chain(domain.chars()).collect()
        }
        _ => HIDDEN.to_string(),
    }
}

/// The last four digits, in the shape that the number was written in: `+* (***) ***-4567`. Letters are hidden too.
pub(crate) fn phone(number: &str) -> String {
    let digits = number.chars().filter(|c| c.is_numeric()).count();
    let shown = if digits >= PHONE_DIGITS_MIN { PHONE_DIGITS_SHOWN } else { 0 };
    let mut digits_left = digits;
    number
        .chars()
        .map(|c| {
            if c.is_numeric() {
                digits_left -= 1;
                if digits_left < shown { c } else { '*' }
            } else if c.is_alphabetic() {
                '*'
            } else {
                c
            }
        })
        .collect()
}

/// The first letter of each word: `A*** S***`.
pub(crate) fn name(name: &str) -> String {
    let words: Vec<String> = name
        .split_whitespace()
        .filter_map(|word| word.chars().next())
        .map(|first| first.to_string() + HIDDEN)
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{email, name, phone};

    #[test]
    fn emails_keep_first_letter_and_domain() {
        assert_eq!(email("anna.smith@example.com"), "a***@example.com");
        assert_eq!(email(" Åsa@exämple.se "), "Å***@exämple.se");
        assert_eq!(email("a@example.com"), "***@example.com");
        assert_eq!(email("\"odd@local\"@example.com"), "\"***@example.com");
        for nothing in ["", "nobody", "@example.com", "anna@", "@"] {
            assert_eq!(email(nothing), "***", "{nothing}");
        }
    }

    #[test]
    fn phones_keep_four_digits_and_their_shape() {
        assert_eq!(phone("+1 (555) 123-4567"), "+* (***) ***-4567");
        assert_eq!(phone("5551234567"), "******4567");
        assert_eq!(phone("555-123-4567 ext A"), "***-***-4567 *** *");
        assert_eq!(phone("12345"), "*****", "too short to show anything");
        assert_eq!(phone("٠١٢٣٤٥٦٧٨٩"), "******٦٧٨٩");
        assert_eq!(phone(""), "");
    }

    #[test]
    fn names_keep_initials() {
        assert_eq!(name("Anna Smith"), "A*** S***");
        assert_eq!(name("  Žofia   Ó Briain "), "Ž*** Ó*** B***");
        assert_eq!(name("李 小龍"), "李*** 小***");
        assert_eq!(name(" "), "");
    }
}
