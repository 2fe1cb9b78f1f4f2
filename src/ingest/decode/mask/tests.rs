use super::*;
use crate::ops::secret::Value;
use crate::sql::{Definition, MaskKey, parse_file};
use proptest::prelude::*;

fn masker(list: &str) -> Masker {
    let text = format!(
        "CREATE SOURCE bronze.x (id TEXT, email TEXT, note TEXT) MASK ({list})\n\
         WITH (connector = 'http'{}) FORMAT PLAIN ENCODE JSON;",
        if list.contains("hmac") { ", mask.key = SECRET pepper" } else { "" }
    );
    let parsed = parse_file("x.sql".as_ref(), &text).unwrap();
    let Some(Definition::Source(mut source)) = parsed.into_iter().next() else { panic!("no source") };
    if source.masking.key.is_some() {
        assert!(Masker::new(&source).is_err(), "a key that was not read masks nothing");
        source.masking.key = Some(MaskKey::Value(Value::from("pepper".to_string())));
    }
    Masker::new(&source).unwrap()
}

fn json(list: &str, payload: &str) -> Result<String, String> {
    let (mut out, mut nesting) = (Vec::new(), Vec::new());
    let written = masker(list).write_json(payload.as_bytes(), &mut out, &mut nesting);
    written.map(|()| String::from_utf8(out).unwrap()).map_err(|fault| fault.into_reason().1)
}

fn csv(list: &str, names: &[&str], line: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mapping = match names.is_empty() {
        true => Mapping::ByPosition,
        false => Mapping::ByHeader(vec![None; names.len()]),
    };
    let columns = ["id", "email"].map(ToString::to_string);
    let names = if names.is_empty() { &columns[..] } else { &names };
    let written = masker(list).write_csv(line.as_bytes(), b',', (&mapping, names), &mut out);
    written.map(|()| String::from_utf8(out).unwrap()).map_err(|fault| fault.into_reason().1)
}

#[test]
fn records_are_written_anew() {
    for (list, record, expected) in [
        ("email WITH 'x'", r#"{"id": 1, "email":"a@b.c"}"#, r#"{"id":1,"email":"x"}"#),
        ("email WITH 'x'", r#"{"EMAIL":"a@b.c","Email":7}"#, r#"{"EMAIL":"x","Email":"x"}"#),
        ("email WITH 'x'", "{\"\\u0065mail\":\"a\"}", "{\"\\u0065mail\":\"x\"}"),
        ("email WITH mask_email", r#"{"email":null}"#, r#"{"email":null}"#),
        ("email WITH mask_email", "{\"email\":\"anna\\u0040b.c\"}", r#"{"email":"a***@b.c"}"#),
        ("email WITH mask_email", r#"{"email":{"of":"a@b.c"}}"#, r#"{"email":"***"}"#),
        ("email WITH 'x'", r#"{"email":["a", ["b"], null]}"#, r#"{"email":["x",["x"],null]}"#),
        ("mail DROP", r#"{"mail":"a","id":1}"#, r#"{"id":1}"#),
        ("mail DROP", r#"{"id":1,"mail":"a"}"#, r#"{"id":1}"#),
        ("mail DROP", r#"{"mail":"a"}"#, "{}"),
        ("a.b WITH 'x', a.c DROP", r#"{"a":[{"b":1,"c":2,"d":3}]}"#, r#"{"a":[{"b":"x","d":3}]}"#),
        ("a.b WITH 'x'", r#"{"a":"{\"b\": 1}"}"#, r#"{"a":"{\"b\":\"x\"}"}"#),
        ("a.b WITH 'x'", r#"{"a":"Anna"}"#, r#"{"a":"***"}"#),
        (
            "before.email WITH 'x', after.email WITH 'x'",
            r#"{"op":"u","before":null,"after":{"id":1,"email":"a"}}"#,
            r#"{"op":"u","before":null,"after":{"id":1,"email":"x"}}"#,
        ),
    ] {
        assert_eq!(json(list, record), Ok(expected.to_string()), "{list}: {record}");
    }
}

#[test]
fn a_keyed_hash_is_not_the_plain_one() {
    let keyed = json("email WITH hmac_sha256", r#"{"email":"abc"}"#).unwrap();
    // printf abc | openssl dgst -sha256 -hmac pepper
    assert!(keyed.contains("95ac8d48c4886bae06029b433c46c419019bf03a65a842069d84b7755b1d08c4"), "{keyed}");
    let plain = json("email WITH sha256", r#"{"email":"abc"}"#).unwrap();
    assert!(plain.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{plain}");
    assert_ne!(keyed, plain);
}

#[test]
fn lines_are_written_anew() {
    let names = &["id", "Email", "phone"];
    for (list, names, line, expected) in [
        ("email WITH 'x'", &names[..], "1,a@b.c,5\n", "1,\"x\",5\n"),
        ("email WITH 'x', phone DROP", names, "1,\"a,b\",\"5\"\r\n", "1,\"x\",\r\n"),
        ("email WITH 'x'", names, "1,,5", "1,,5"),
        ("email WITH 'say \"x\"'", names, "1,a", "1,\"say \"\"x\"\"\""),
        ("email WITH 'x'", &[], "1,a,whatever,else", "1,\"x\",,"),
    ] {
        assert_eq!(csv(list, names, line), Ok(expected.to_string()), "{list}: {line}");
    }
    let error = csv("email WITH 'x'", names, "1,2,3,a@b.c").unwrap_err();
    assert_eq!(error, "4 fields where the header has 3");
}

#[test]
fn what_cannot_be_read_says_nothing_of_its_values() {
    for record in [
        "[{\"email\":\"anna\"}]",
        "\"anna\"",
        "{\"email\":\"anna\"",
        "{\"email\":\"anna\\ud800\"}",
        "{\"email\" \"anna\"}",
    ] {
        let error = json("email WITH 'x'", record).unwrap_err();
        assert!(!error.contains("anna"), "{error}");
    }
    let deep = format!("{{\"email\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        json("email WITH 'x'", &deep).unwrap_err(),
        "arrays inside of arrays are nested too deep to be masked"
    );
    let withheld = masker("email WITH 'x'").withheld(b"anna", "the record is not a JSON object");
    assert!(withheld.contains("its 4 bytes are not kept") && !withheld.contains("anna"), "{withheld}");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let name = prop::sample::select(vec!["id", "email", "Email", "inner", "x\"y", "ä"]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i32>().prop_map(serde_json::Value::from),
        "[a-z@\"\\\\ä]{0,6}".prop_map(serde_json::Value::from),
    ];
    let inner = leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(|pairs| {
                serde_json::Value::from_iter(pairs.into_iter().map(|(name, value)| (name.to_string(), value)))
            }),
        ]
    });
    prop::collection::vec((prop::sample::select(vec!["id", "email", "inner"]), inner), 0..4)
        .prop_map(|pairs| serde_json::Value::from_iter(pairs.into_iter().map(|(n, v)| (n.to_string(), v))))
}

/// The same as a plain recursion over values would make of it.
fn expected(value: serde_json::Value, node: &Node, masker: &Masker) -> serde_json::Value {
    use serde_json::Value as V;
    match (value, &node.method) {
        (V::Array(items), _) => items.into_iter().map(|item| expected(item, node, masker)).collect(),
        (V::Null, _) => V::Null,
        (V::Object(members), None) => members
            .into_iter()
            .filter_map(|(name, value)| match node.get(&name) {
                None => Some((name, value)),
                Some(inside) if inside.method == Some(MaskMethod::Drop) => None,
                Some(inside) => Some((name.clone(), expected(value, inside, masker))),
            })
            .collect(),
        (V::String(text), Some(method)) => masker.text(method, &text).into(),
        (V::String(text), None) => masker.inside_text(&text, node).into(),
        (value, Some(_)) => masker.text(&MaskMethod::Text("x".to_string()), &value.to_string()).into(),
        (value, None) => value,
    }
}

proptest! {
    #[test]
    fn nothing_but_the_fields_changes(record in any_json()) {
        let masker = masker("email WITH 'x', inner.id DROP, inner.email WITH 'x', inner.inner.email WITH 'x'");
        let (mut out, mut nesting) = (Vec::new(), Vec::new());
        masker.write_json(record.to_string().as_bytes(), &mut out, &mut nesting).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(written, expected(record, masker.root(), &masker));
    }
}
