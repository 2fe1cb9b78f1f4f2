//! Pieces do not depend on how the bytes arrive, and broken records cost no neighbour.

use super::*;
use proptest::prelude::*;

/// Hands out at most so many bytes at once.
struct Slowly<'a>(&'a [u8], usize);

impl Read for Slowly<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.0.len().min(self.1).min(out.len());
        let (now, later) = self.0.split_at(length);
        out[..length].copy_from_slice(now);
        self.0 = later;
        Ok(length)
    }
}

fn pieces(input: &[u8], shape: Shape, at_once: usize, limit: usize) -> Vec<String> {
    let mut splitter = Splitter::new(Slowly(input, at_once), shape).with_limit(limit);
    let mut pieces = Vec::new();
    while let Some(piece) = splitter.next().unwrap() {
        pieces.push(match piece {
            Piece::Record(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Piece::Fragment(bytes, why) => format!("<{why}: {}>", String::from_utf8_lossy(bytes)),
            Piece::TooLong(bytes) => format!("<too long: {}>", bytes.len()),
        });
    }
    pieces
}

#[track_caller]
fn check(input: &str, shape: Shape, expected: &[&str]) {
    for at_once in [1, 2, 3, 7, 1000] {
        assert_eq!(pieces(input.as_bytes(), shape, at_once, RECORD_BYTES_MAX), expected, "{at_once} at once");
    }
}

const CSV: Shape = Shape::Csv { delimiter: b',' };

#[test]
fn lines_of_json() {
    check("", Shape::Json, &[]);
    check(" \n\n", Shape::Json, &[]);
    check("{\"a\":1}\n\n  \r\n{\"b\":2}\r\n{\"c\":3}", Shape::Json, &["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
    check("\u{feff}{}\n", Shape::Json, &["{}"]);
    check("{bad\n{}", Shape::Json, &["{bad", "{}"]);
}

#[test]
fn arrays_of_json() {
    check("[]", Shape::Json, &[]);
    check(" [ \n ] \n", Shape::Json, &[]);
    check("[{\"a\":[1,2]},\n {\"b\":\"],[{\"}]", Shape::Json, &["{\"a\":[1,2]}", "\n {\"b\":\"],[{\"}"]);
    check("[\"\\\\\",\"\\\",\"]", Shape::Json, &["\"\\\\\"", "\"\\\",\""]);
    check("[1,,2,]", Shape::Json, &["1", "", "2", ""]);
    check(
        "[1] x\n\ny",
        Shape::Json,
        &[
            "1",
            "<expected the end of the file behind the array:  x>",
            "<expected the end of the file behind the array: y>",
        ],
    );
    check(
        "[{\"a\":1}, {\"a\":",
        Shape::Json,
        &["{\"a\":1}", " {\"a\":", "<the file ends inside its array: >"],
    );
    check("[{\"a\":1},", Shape::Json, &["{\"a\":1}", "<the file ends inside its array: >"]);
    // A string that is never closed costs its own line.
    check(
        "[{\"a\":\"x},\n{\"a\":2},\n{\"a\":3}]",
        Shape::Json,
        &["{\"a\":\"x},", "{\"a\":2}", "\n{\"a\":3}"],
    );
}

#[test]
fn csv_records() {
    check("a,b\r\n1,2\n\n3,\"x\ny\"\r\n", CSV, &["a,b", "1,2", "3,\"x\ny\""]);
    check("1,\"a\"\"b\n,\",2\n3", CSV, &["1,\"a\"\"b\n,\",2", "3"]);
    check("1,it\"s\n2,b", CSV, &["1,it\"s", "2,b"]);
    check(" \n\t\n", CSV, &[" ", "\t"]);
    // Quotes that are never closed, or closed where the field goes on, cost their own line.
    check("1,\"open\n2,b\n3,c", CSV, &["1,\"open", "2,b", "3,c"]);
    check("1,\"open\n2,\"b\"\n3,c\n", CSV, &["1,\"open", "2,\"b\"", "3,c"]);
    check("1,\"a\"b\n2,c", CSV, &["1,\"a\"b", "2,c"]);
    check("\"", CSV, &["\""]);
    check("\"\r", CSV, &["\""]);
}

#[test]
fn records_beyond_the_limit_cost_themselves_only() {
    let long = "x".repeat(2 * CHUNK_BYTES);
    let check = |input: String, shape, before: &str, after: &str| {
        let pieces = pieces(input.as_bytes(), shape, CHUNK_BYTES, 100);
        assert_eq!(pieces.len(), 3, "{pieces:?}");
        assert_eq!((pieces[0].as_str(), pieces[2].as_str()), (before, after));
        assert!(pieces[1].starts_with("<too long: "), "{}", &pieces[1][..40]);
    };
    check(format!("{{}}\n{long}\n{{\"a\":1}}\n"), Shape::Json, "{}", "{\"a\":1}");
    check(format!("[1,[\"{long}\",2],3]"), Shape::Json, "1", "3");
    check(format!("1,a\n2,{long}\n3,c"), CSV, "1,a", "3,c");
    let open = format!("1,a\n2,\"{long}\n3,c");
    assert_eq!(pieces(open.as_bytes(), CSV, CHUNK_BYTES, 100).len(), 3);
    let never = pieces("9".repeat(5 * CHUNK_BYTES).as_bytes(), Shape::Json, CHUNK_BYTES, 100);
    assert_eq!(never.len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_cut_the_same_however_they_come(
        input in proptest::collection::vec(proptest::sample::select(b"[]{}\",\\\n\r 1a".to_vec()), 0..60),
        at_once in 1usize..20,
        csv: bool,
    ) {
        let shape = if csv { CSV } else { Shape::Json };
        let whole = pieces(&input, shape, usize::MAX, RECORD_BYTES_MAX);
        prop_assert_eq!(&pieces(&input, shape, at_once, RECORD_BYTES_MAX), &whole);
        // Nothing but separators is dropped.
        let kept = |bytes: &[u8]| bytes.iter().filter(|b| matches!(b, b'1' | b'a')).count();
        prop_assert_eq!(whole.iter().map(|piece| {
            let piece = piece.strip_prefix("<expected the end of the file behind the array:").unwrap_or(piece);
            let piece = piece.strip_prefix("<the file ends inside its array:").unwrap_or(piece);
            kept(piece.as_bytes())
        }).sum::<usize>(), kept(&input));
    }
}
