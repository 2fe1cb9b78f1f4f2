//! Malformed records among good ones: every bad one is rejected by the right rule, every good one is a row.

use super::*;

/// Records that cannot become rows of [`every_kind`], with the rule that says why.
fn corpus() -> Vec<(Vec<u8>, &'static str)> {
    let text = |payload: &str| payload.as_bytes().to_vec();
    let with = |field: &str| text(&format!("{{\"id\": 1, {field}}}"));
    let mut corpus = vec![
        (text(""), "empty"),
        (text("   "), "empty"),
        (text("\r\n\t"), "empty"),
        (b"\xff\xfe".to_vec(), "encoding"),
        (b"{\"id\": 1, \"name\": \"\xc3\"}".to_vec(), "encoding"),
        (b"{\"id\": 1, \"name\": \"\xed\xa0\x80\"}".to_vec(), "encoding"),
        (b"{\"id\": 1, \"name\": \"\xf8\x88\x80\x80\x80\"}".to_vec(), "encoding"),
        (b"{\"id\": 1, \"x\xc0\xaf\": 1}".to_vec(), "encoding"),
        (b"\xef\xbb\xbf{\"id\": 1}".to_vec(), "syntax"),
        (with("\"name\": \"\\u0000\""), "encoding"),
        (with("\"name\": \"\\ud83d\""), "encoding"),
        (with("\"name\": \"\\ud83d\\u0041\""), "encoding"),
        (with("\"tags\": [\"\\udead\"]"), "encoding"),
        (with("\"name\": \"a\0b\""), "syntax"),
        (text("\0"), "syntax"),
        (text("{"), "syntax"),
        (text("}"), "syntax"),
        (text("{\"id\""), "syntax"),
        (text("{\"id\":"), "syntax"),
        (text("{\"id\": 1"), "syntax"),
        (text("{\"id\": 1,"), "syntax"),
        (text("{\"id\": 1,}"), "syntax"),
        (text("{,\"id\": 1}"), "syntax"),
        (text("{\"id\": 1 \"small\": 2}"), "syntax"),
        (text("{\"id\": 1; \"small\": 2}"), "syntax"),
        (text("{\"id\" 1}"), "syntax"),
        (text("{id: 1}"), "syntax"),
        (text("{'id': 1}"), "syntax"),
        (text("{\"id\": 1} {\"id\": 2}"), "syntax"),
        (text("{\"id\": 1}{\"id\": 2}"), "syntax"),
        (text("{\"id\": 1}\n{\"id\": 2}"), "syntax"),
        (text("{\"id\": 1} x"), "syntax"),
        (text("{\"id\": 1}}"), "syntax"),
        (text("{\"id\": 1}]"), "syntax"),
        (text("{\"id\": 1} // why"), "syntax"),
        (text("{\"id\": 01}"), "syntax"),
        (text("{\"id\": +1}"), "syntax"),
        (text("{\"id\": .5}"), "syntax"),
        (text("{\"id\": 5.}"), "syntax"),
        (text("{\"id\": 1e}"), "syntax"),
        (text("{\"id\": -}"), "syntax"),
        (text("{\"id\": 0x10}"), "syntax"),
        (text("{\"id\": 1_000}"), "syntax"),
        (with("\"ratio\": NaN"), "syntax"),
        (with("\"ratio\": Infinity"), "syntax"),
        (with("\"flag\": True"), "syntax"),
        (with("\"flag\": tru"), "syntax"),
        (with("\"flag\": nul"), "syntax"),
        (with("\"name\": \"a\nb\""), "syntax"),
        (with("\"name\": \"a\tb\""), "syntax"),
        (with("\"name\": \"\\x41\""), "syntax"),
        (with("\"name\": \"\\u12g4\""), "syntax"),
        (with("\"name\": \"\\u12\""), "syntax"),
        (with("\"name\": \"open"), "syntax"),
        (with("\"name\": \"open\\"), "syntax"),
        (with("\"extra\": [1, 2"), "syntax"),
        (with("\"extra\": [1, 2}"), "syntax"),
        (with("\"extra\": [1 2]"), "syntax"),
        (with("\"extra\": {\"a\"}"), "syntax"),
        (with("\"extra\": [}]"), "syntax"),
        (with("\"extra\": \"\\ud8\""), "syntax"),
        (with("\"tags\": [\"a\",]"), "syntax"),
        (with("\"small\": \"x\", \"name\": }"), "syntax"),
        (text("[{\"id\": 1}]"), "type"),
        (text("42"), "type"),
        (text("\"text\""), "type"),
        (text("null"), "type"),
        (text("[1,"), "syntax"),
        (text("{}"), "not_null"),
        (text("{\"id\": null}"), "not_null"),
        (text("{\"ID\": 1}"), "not_null"),
        (text("{\"id\": 9223372036854775808}"), "type"),
        (text("{\"id\": 1e40}"), "type"),
        (text("{\"id\": 1e-3}"), "type"),
        (text("{\"id\": \"one\"}"), "type"),
        (text("{\"id\": {}}"), "type"),
        (with("\"small\": 32768"), "type"),
        (with("\"amount\": 123456789.00"), "type"),
        (with("\"amount\": 1.005"), "type"),
        (with("\"amount\": \"1,5\""), "type"),
        (with("\"ratio\": 1e999"), "type"),
        (with("\"flag\": 1"), "type"),
        (with("\"flag\": \"maybe\""), "type"),
        (with("\"day\": \"2023-02-29\""), "type"),
        (with("\"day\": \"29.02.2024\""), "type"),
        (with("\"at\": \"yesterday\""), "type"),
        (with("\"at\": 1e300"), "type"),
        (with("\"bytes\": 5"), "type"),
        (with("\"address\": \"Wien\""), "type"),
        (with("\"address\": {\"zip\": \"x\"}"), "type"),
        (with("\"address\": {}"), "not_null"),
        (with("\"tags\": \"a\""), "type"),
        (with("\"stops\": [{\"zip\": 1}, 5]"), "type"),
        (with("\"stops\": [{\"zip\": 1}, {}]"), "not_null"),
    ];
    // Cut anywhere, a record is broken.
    let whole =
        br#"{"id": 1, "name": "a\u00e9", "tags": ["x", null], "address": {"zip": 1}, "ratio": 1.5e3}"#;
    corpus.extend((1..whole.len()).map(|end| (whole[..end].to_vec(), "syntax")));
    // As deep as 10,000, open or closed where only a number may stand.
    corpus.push((with(&format!("\"extra\": {}", "[".repeat(10_000))), "syntax"));
    corpus.push((with(&format!("\"name\": {}", "{\"a\":".repeat(10_000))), "syntax"));
    corpus.push((with(&format!("\"small\": {}{}", "[".repeat(10_000), "]".repeat(10_000))), "type"));
    corpus.push((vec![b'['; 1 << 20], "syntax"));
    // Ten mebibytes.
    corpus.push((with(&format!("\"small\": \"{}\"", "9".repeat(10 << 20))), "type"));
    corpus.push((with(&format!("\"name\": \"{}", "x".repeat(10 << 20))), "syntax"));
    corpus
}

/// Records that look odd and are good.
fn odd_but_good() -> Vec<Vec<u8>> {
    let deep = format!("{{\"id\": 1, \"extra\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_text = format!("{{\"id\": 1, \"name\": {}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let long = format!("{{\"id\": 1, \"name\": \"{}\"}}", "x".repeat(1 << 20));
    let texts = [
        "{\"id\": 1}",
        " \n{\"id\"\t:\r1 } \n",
        "{\"id\": 1, \"\": 0, \"\\u0000\": 1, \"\\ud800\": 2}",
        "{\"id\": 1, \"id\": 2}",
        "{\"id\": \"x\", \"id\": 2}",
        "{\"id\": -0, \"extra\": \"\\u0000\\ud800\"}",
        "{\"id\": 1, \"tags\": [], \"stops\": [], \"address\": null}",
        &deep,
        &deep_text,
        &long,
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn every_malformed_record_is_rejected_and_costs_no_neighbour() {
    let corpus = corpus();
    assert!(corpus.len() >= 60);
    let mut payloads = Vec::new();
    for (bad, _) in &corpus {
        payloads
            .push(b"{\"id\": 5, \"name\": \"good\", \"tags\": [\"t\"], \"stops\": [{\"zip\": 3}]}".to_vec());
        payloads.push(bad.clone());
    }
    let decoded = decode(&json(), &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(decoded.rows.num_rows(), corpus.len());
    for row in [0, corpus.len() / 2, corpus.len() - 1] {
        assert_eq!(shown(&decoded, "id", row), "5");
        assert_eq!(shown(&decoded, "tags", row), "[t]");
        assert_eq!(shown(&decoded, "stops", row), "[{city: NULL, zip: 3}]");
        assert_eq!(shown(&decoded, "_offset", row), (2 * row).to_string());
    }
    assert_eq!(decoded.rejected.len(), corpus.len());
    for (index, (rejected, (raw, rule))) in decoded.rejected.iter().zip(&corpus).enumerate() {
        let shown = String::from_utf8_lossy(&raw[..raw.len().min(100)]);
        assert_eq!(rejected.rule, *rule, "case {index}: {shown}: {}", rejected.reason);
        assert_eq!(rejected.offset, 2 * index as i64 + 1);
        assert!(rejected.raw == *raw, "case {index} keeps its bytes");
        assert!(!rejected.reason.is_empty() && rejected.reason.len() < 400, "{}", rejected.reason);
    }
}

#[test]
fn odd_records_are_good() {
    let payloads = odd_but_good();
    let decoded = decode(&json(), &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(decoded.rejected, []);
    assert_eq!(decoded.rows.num_rows(), payloads.len());
}

#[test]
fn characters_cut_between_two_records_are_not_text() {
    // Together the two are valid UTF-8; each alone is not.
    let source = csv(&[("v", DataType::Utf8)]);
    let decoded = decode(&source, &[b"a\xc3", b"\xa9b", b"good"]);
    assert_eq!(decoded.rejected.iter().map(|r| r.rule).collect::<Vec<_>>(), ["encoding", "encoding"]);
    assert_eq!(shown(&decoded, "v", 0), "good");
}
