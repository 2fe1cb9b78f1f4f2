//! `?` → `$1`: the placeholders of JDBC, ODBC and Python's DB-API in PostgreSQL's words.
//!
//! A scan of its own, as the drivers for PostgreSQL do it: to PostgreSQL's tokenizer `>?` is one operator.

use std::borrow::Cow;

/// The statement with each `?` outside of strings, names and comments replaced by `$1`, `$2` ...; a statement that has
/// `$n` of its own is left as it is.
pub(super) fn numbered(sql: &str) -> Cow<'_, str> {
    if !sql.contains('?') {
        return Cow::Borrowed(sql);
    }
    let mut text = String::with_capacity(sql.len() + 8);
    let mut count = 0;
    let mut rest = sql;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '?' => {
                count += 1;
                text.push_str(&format!("${count}"));
                rest = &rest[1..];
                after_word = false;
                continue;
            }
            '$' if !after_word && rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                return Cow::Borrowed(sql);
            }
            '$' if !after_word => dollar_quoted(rest),
            '\'' => quoted(rest, '\'', text.ends_with(['e', 'E']) && !ends_in_longer_word(&text)),
            '"' => quoted(rest, '"', false),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            other => other.len_utf8(),
        };
        after_word = first.is_alphanumeric() || first == '_' || (first == '$' && after_word);
        text.push_str(&rest[..skipped]);
        rest = &rest[skipped..];
    }
    Cow::Owned(text)
}

/// The length of a string or name that starts here; a doubled quote is part of it, so is an escaped one in `E''`.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if escapes && letter == '\\' {
            letters.next();
        } else if letter == quote {
            // A doubled quote ends one string and starts the next, which comes to the same.
            return at + 1;
        }
    }
    text.len()
}

/// The length of `$tag$ ... $tag$`, or of the lone `$`.
fn dollar_quoted(text: &str) -> usize {
    let Some(end) = text[1..].find('$') else { return 1 };
    let tag = &text[..end + 2];
    if !tag[1..end + 1].chars().all(|c| c.is_alphanumeric() || c == '_') {
        return 1;
    }
    text[tag.len()..].find(tag).map_or(text.len(), |at| at + 2 * tag.len())
}

/// The length of a comment, in which comments may stand.
fn comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// True if the last letter, the `e` before a quote, is the end of a longer word.
fn ends_in_longer_word(text: &str) -> bool {
    text.chars().rev().nth(1).is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn marks_are_numbered_and_what_is_quoted_stays() {
        let cases = [
            ("SELECT 1", "SELECT 1"),
            ("SELECT * FROM t WHERE a = ? AND b>?", "SELECT * FROM t WHERE a = $1 AND b>$2"),
            ("SELECT ?-1, -?, (?)", "SELECT $1-1, -$2, ($3)"),
            (
                "SELECT '?', \"?\", E'\\'?', ? -- ?\n, ?/* ? /* ? */ ? */",
                "SELECT '?', \"?\", E'\\'?', $1 -- ?\n, $2/* ? /* ? */ ? */",
            ),
            ("SELECT 'ünï''?'\n  , ?", "SELECT 'ünï''?'\n  , $1"),
            ("SELECT date'\\', ?", "SELECT date'\\', $1"),
            ("SELECT $$ ? $$, $a$ ? $$ ? $a$, a$b?", "SELECT $$ ? $$, $a$ ? $$ ? $a$, a$b$1"),
            ("SELECT $1, ?", "SELECT $1, ?"),
            ("SELECT 'open ?", "SELECT 'open ?"),
            ("SELECT /* open ?", "SELECT /* open ?"),
            ("?", "$1"),
        ];
        for (given, expected) in cases {
            assert_eq!(numbered(given), expected);
        }
    }
}
