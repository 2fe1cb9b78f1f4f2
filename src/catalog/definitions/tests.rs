use super::*;

fn named(name: &str) -> TableName {
    TableName::new("gold", name)
}

fn view(name: &str, body: &str) -> Typed {
    let (kind, comment, column_comments) = (TypedKind::View, None, BTreeMap::new());
    let (body, changed_by, changed_at) = (body.to_string(), "ann".to_string(), DateTime::UNIX_EPOCH);
    Typed { name: named(name), kind, body, comment, column_comments, changed_by, changed_at }
}

fn create(name: &str, body: &str) -> Change {
    Change::Create { model: view(name, body), replace: false }
}

fn rename(from: &str, to: &str) -> Change {
    Change::Rename { from: named(from), to: named(to) }
}

fn drop(name: &str, cascade: bool) -> Change {
    Change::Drop { name: named(name), cascade }
}

/// A project whose files define gold.filed.
fn project() -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("sql/gold")).unwrap();
    std::fs::write(folder.path().join("sql/gold/filed.sql"), "CREATE VIEW gold.filed AS SELECT 1 AS x;")
        .unwrap();
    let project = Project::load(folder.path()).unwrap();
    (folder, project)
}

/// The names and bodies after each list of changes, as transactions of their own; the last may be refused.
fn after(transactions: &[&[Change]]) -> Result<Vec<String>, String> {
    let (_folder, project) = project();
    let mut definitions = Definitions::default();
    for changes in transactions {
        let told = |refusal: Refusal| format!("{} {refusal}", refusal.code);
        definitions.change(changes, &project, false).map_err(told)?;
    }
    Ok(definitions.models.values().map(|model| format!("{} {}", model.name.name, model.body)).collect())
}

#[test]
fn a_swap_keeps_who_reads_the_name() {
    let read_by = create("reader", "AS SELECT * FROM gold.a");
    let swap = [create("a__tmp", "AS SELECT 2 AS x"), rename("a", "a__backup"), rename("a__tmp", "a")];
    let done = after(&[&[create("a", "AS SELECT 1 AS x")], &[read_by], &swap, &[drop("a__backup", true)]]);
    assert_eq!(done.unwrap(), ["a AS SELECT 2 AS x", "reader AS SELECT * FROM gold.a"]);
}

#[test]
fn what_is_read_does_not_go_alone() {
    let made = [
        create("a", "AS SELECT 1 AS x"),
        create("b", "AS SELECT * FROM gold.a"),
        create("c", "AS SELECT * FROM gold.b"),
    ];
    let depends = |verb: &str| Err(format!("2BP01 cannot {verb} gold.a because other objects depend on it"));
    assert_eq!(after(&[&made, &[drop("a", false)]]), depends("drop"));
    assert_eq!(after(&[&made, &[rename("a", "z")]]), depends("rename"));
    assert_eq!(after(&[&made, &[drop("a", true)]]), Ok(vec![]));
    // A schema is dropped as a list in which some have gone with others.
    assert_eq!(after(&[&made, &[drop("a", true), drop("b", true), drop("c", true)]]), Ok(vec![]));
}

#[test]
fn names_are_taken_once() {
    let a = || create("a", "AS SELECT 1 AS x");
    let taken = |name: &str| Err(format!("42P07 relation \"{name}\" already exists"));
    assert_eq!(after(&[&[a()], &[a()]]), taken("a"));
    assert_eq!(after(&[&[create("filed", "AS SELECT 1 AS x")]]), taken("filed"));
    assert_eq!(after(&[&[a(), rename("a", "filed")]]), taken("filed"));
    assert_eq!(after(&[&[drop("b", false)]]), Err("42P01 relation \"gold.b\" does not exist".to_string()));
    let filed = Err("42501 \"gold.filed\" is defined in the project's files".to_string());
    assert_eq!(after(&[&[drop("filed", true)]]), filed);
    let replaced = Change::Create { model: view("a", "AS SELECT 2 AS x"), replace: true };
    assert_eq!(after(&[&[a()], &[replaced]]), Ok(vec!["a AS SELECT 2 AS x".to_string()]));
}

#[test]
fn comments_are_part_of_the_text() {
    let (_folder, project) = project();
    let mut definitions = Definitions::default();
    let comment = |column: Option<&str>, text: Option<&str>| Change::Comment {
        on: named("a"),
        column: column.map(Into::into),
        text: text.map(Into::into),
    };
    let changes = [
        create("a", "AS SELECT 1 AS x"),
        comment(None, Some("it's")),
        comment(Some("x"), Some("y")),
        comment(Some("x"), None),
    ];
    definitions.change(&changes, &project, false).unwrap();
    let text = definitions.models[&named("a")].text();
    assert_eq!(
        text,
        "CREATE VIEW \"gold\".\"a\" AS SELECT 1 AS x;\nCOMMENT ON VIEW \"gold\".\"a\" IS 'it''s';\n"
    );
    assert_eq!(parse_file(Path::new("sql/gold/a.sql"), &text).unwrap().len(), 2);
}

fn audit(name: &str, on: &str) -> Watch {
    let name = WatchName::Audit { on: named(on), name: name.to_string() };
    watch(name, "NOT NULL (x)")
}

fn watch(name: WatchName, body: &str) -> Watch {
    let (body, changed_by, changed_at) = (body.to_string(), "ann".to_string(), DateTime::UNIX_EPOCH);
    Watch { name, body, changed_by, changed_at }
}

#[test]
fn audits_go_with_their_model_and_alerts_hold_it() {
    let (_folder, project) = project();
    let mut definitions = Definitions::default();
    let mut change = |changes: &[Change]| {
        let refused = definitions.clone().change(changes, &project, false).err();
        if refused.is_none() {
            definitions.change(changes, &project, false).unwrap();
        }
        let left: Vec<String> = definitions.watches.keys().map(ToString::to_string).collect();
        (refused.map(|refusal| refusal.code), left.join(", "))
    };
    let add = |watch| Change::Watch { watch, replace: false };
    let alert = || watch(WatchName::Alert("n".to_string()), "IF (EXISTS (SELECT x FROM gold.a))");
    assert_eq!(
        change(&[create("a", "AS SELECT 1 AS x"), add(audit("k", "a"))]),
        (None, "audit k on gold.a".into())
    );
    assert_eq!(change(&[add(audit("k", "a"))]).0, Some("42710"));
    assert_eq!(change(&[add(alert())]).1, "audit k on gold.a, alert n");
    assert_eq!(change(&[drop("a", false)]).0, Some("2BP01"));
    assert_eq!(change(&[drop("a", true)]), (None, String::new()));
    let gone = |if_exists| Change::Unwatch { name: alert().name, if_exists };
    assert_eq!((change(&[gone(false)]).0, change(&[gone(true)]).0), (Some("42704"), None));
}

#[test]
fn the_text_of_a_watch_is_a_statement() {
    for (watch, text) in [
        (audit("K", "a b"), "CREATE AUDIT \"K\" ON \"gold\".\"a b\" NOT NULL (x);\n"),
        (
            watch(WatchName::Alert("n".to_string()), "IF (EXISTS (SELECT x FROM gold.a))"),
            "CREATE ALERT \"n\" IF (EXISTS (SELECT x FROM gold.a));\n",
        ),
    ] {
        assert_eq!(watch.text(), text);
        assert!(!watch.inputs().is_empty());
    }
}
