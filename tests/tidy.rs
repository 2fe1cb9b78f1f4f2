//! The rules of `src/lib.rs`, read off the sources: arrows, crates in their place, one clock, file sizes.

use crate::support::trial;
use libtest_mimic::Trial;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file at most.
const FILE_LINES_MAX: usize = 600;

/// Stages from the readers down; a stage names only its own group and groups below it.
const GROUPS: [&[&str]; 5] = [
    &["serve", "deliver"],
    &["refresh", "ingest", "bronze", "quality"],
    &["catalog", "sql", "engine"],
    &["lake"],
    &["ops"],
];

/// Where the stages are put together: they may name every stage, and no stage names them, but for settings, which are
/// plain values that every stage may be handed.
const TOP: [&str; 5] = ["main", "lib", "cli", "warehouse", "config"];

/// Crates that are named in one place only.
const CRATES: [(&str, &[&str]); 5] = [
    ("deltalake", &["lake/"]),
    ("object_store", &["lake/"]),
    ("rdkafka", &["ingest/kafka"]),
    ("pgwire", &["serve/postgres"]),
    ("arrow_flight", &["serve/flight"]),
];

/// Reading a clock is left to `ops`.
const CLOCKS: [&str; 4] = ["Utc::now", "Local::now", "Instant::now", "SystemTime::now"];

/// What finished code does not say. Written in two halves, so that this file may be read too.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("dbg", "!("),
    concat!("todo", "!("),
    concat!("unimple", "mented!("),
];

/// What lies at the top of the repository, beside hidden files and what git ignores.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "src",
    "sql",
    "catalog",
    "tests",
    "benches",
    "docker",
];

pub fn trials() -> Vec<Trial> {
    vec![
        trial("tidy::arrows_go_one_way", arrows_go_one_way),
        trial("tidy::crates_are_named_in_their_place", crates_are_named_in_their_place),
        trial("tidy::only_ops_reads_the_clock", only_ops_reads_the_clock),
        trial("tidy::files_hold_one_idea", files_hold_one_idea),
        trial("tidy::nothing_is_left_unfinished", nothing_is_left_unfinished),
        trial("tidy::top_level_is_fixed", top_level_is_fixed),
        trial("tidy::the_reader_of_sources_sees_what_it_must", the_reader_of_sources_sees_what_it_must),
    ]
}

fn arrows_go_one_way() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        let stage = source.stage();
        if TOP.contains(&stage.as_str()) {
            continue;
        }
        for (line, statement) in source.uses_joined() {
            for named in names(&statement).into_iter().filter(|named| !may_name(&stage, named)) {
                wrong.push(format!("{}:{line}: {stage} names {named}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that run back:\n{}", wrong.join("\n"));
}

/// Whether one stage may name another, or `lake::TableName`.
fn may_name(stage: &str, named: &str) -> bool {
    let group = |name: &str| GROUPS.iter().position(|group| group.contains(&name));
    match (stage, named) {
        (_, "config") => true,
        // Sources know nothing of Delta, nor of what becomes of their batches; a table's name is just a name.
        ("ingest", "bronze" | "refresh" | "quality" | "lake") => false,
        ("ingest", "lake::TableName") => true,
        _ => {
            let named = named.split("::").next().unwrap_or(named);
            match (group(stage), group(named)) {
                (Some(from), Some(to)) => from <= to,
                _ => false,
            }
        }
    }
}

fn crates_are_named_in_their_place() {
    let mut wrong = Vec::new();
    for source in sources("src") {
        for (name, places) in CRATES {
            if places.iter().any(|place| source.path.starts_with(&format!("src/{place}"))) {
                continue;
            }
            for (line, _) in source.production().filter(|(_, code)| names_crate(code, name)) {
                wrong.push(format!("{}:{line}: {name} belongs to {places:?}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "crates named outside their place:\n{}", wrong.join("\n"));
}

fn only_ops_reads_the_clock() {
    let mut wrong = Vec::new();
    for source in sources("src").into_iter().filter(|source| source.stage() != "ops") {
        for (line, code) in source.production() {
            if let Some(clock) = CLOCKS.iter().find(|clock| code.contains(*clock)) {
                wrong.push(format!("{}:{line}: {clock}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "clocks read outside ops:\n{}", wrong.join("\n"));
}

fn files_hold_one_idea() {
    let long: Vec<String> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
        .map(|source| (source.path, source.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "files of more than {FILE_LINES_MAX} lines:\n{}", long.join("\n"));
}

fn nothing_is_left_unfinished() {
    let mut wrong = Vec::new();
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(word) = UNFINISHED.iter().find(|word| line.contains(*word)) {
                wrong.push(format!("{}:{}: {word}", source.path, number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unfinished:\n{}", wrong.join("\n"));
}

fn top_level_is_fixed() {
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    let wrong: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .filter(|name| !ignored.lines().any(|line| line.trim_matches('/') == name))
        .collect();
    assert!(wrong.is_empty(), "not at the top level: {wrong:?}");
}

/// The rules above are only as good as the reading of the sources.
fn the_reader_of_sources_sees_what_it_must() {
    let text = "use crate::{\n    lake::TableName,\n    ops::{clock, shutdown},\n};\n\
                // crate::serve in a comment\n\
                fn f() { crate::bronze::commit(); pub(crate) }\n\
                #[cfg(test)]\n\
                mod tests {\n    use crate::serve;\n}\n\
                use crate::sql::Definition;\n";
    let source = Source { path: "src/ingest/x.rs".to_string(), text: text.to_string() };
    let named: Vec<String> = source.uses_joined().iter().flat_map(|(_, code)| names(code)).collect();
    assert_eq!(named, ["lake::TableName", "ops", "bronze", "sql"]);
    assert_eq!(source.stage(), "ingest");
    assert!(may_name("serve", "lake") && !may_name("lake", "serve"));
    assert!(may_name("refresh", "bronze") && !may_name("ingest", "bronze"));
    assert!(!may_name("ops", "cli") && !may_name("serve", "warehouse"));
    assert!(names_crate("use object_store::path::Path;", "object_store"));
    assert!(!names_crate("use datafusion::datasource::object_store::ObjectStoreUrl;", "object_store"));
    assert!(!names_crate("my_object_store::x", "object_store"));
}

/// A Rust file of the repository.
struct Source {
    /// From the repository's root, `/` separated.
    path: String,
    text: String,
}

impl Source {
    /// The folder or file right under `src/`.
    fn stage(&self) -> String {
        let inner = self.path.trim_start_matches("src/");
        inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs").to_string()
    }

    /// Lines of code with their numbers: no comments, no unit tests.
    fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let only_tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let mut test_item: Option<&str> = None;
        let lines = self.text.lines().enumerate().filter(move |(_, line)| {
            if only_tests {
                return false;
            }
            let indent = &line[..line.len() - line.trim_start().len()];
            if line.trim() == "#[cfg(test)]" {
                test_item = Some(indent);
            }
            let Some(start) = test_item else { return true };
            // The item ends with its closing brace, or at once when it has no body.
            let ends = indent == start && (line.trim() == "}" || line.trim_end().ends_with(';'));
            if ends {
                test_item = None;
            }
            false
        });
        lines
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(number, line)| (number + 1, line))
    }

    /// The same lines, but `use crate::{` and the lines up to its last brace as one.
    fn uses_joined(&self) -> Vec<(usize, String)> {
        let mut joined: Vec<(usize, String)> = Vec::new();
        for (number, line) in self.production() {
            match joined.last_mut() {
                Some((_, open)) if open.contains("crate::{") && braces(open) > 0 => {
                    open.push_str(line.trim());
                }
                _ => joined.push((number, line.to_string())),
            }
        }
        joined
    }
}

/// The modules of this crate that a piece of code names: `lake::TableName` whole, every other by its stage.
fn names(code: &str) -> Vec<String> {
    let code = code.split(" // ").next().unwrap_or(code);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let path = &code[at + "crate::".len()..];
        match path.strip_prefix('{') {
            Some(group) => found.extend(top_level_of(group).into_iter().map(named)),
            None => found.push(named(path)),
        }
    }
    found
}

/// Braces left open after the first `crate::{`.
fn braces(code: &str) -> i64 {
    let group = code.split_once("crate::").map_or("", |(_, group)| group);
    group.chars().map(|c| i64::from(c == '{') - i64::from(c == '}')).sum()
}

/// The pieces of `a::b, c::{d, e}, f}` between commas of the outer level.
fn top_level_of(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut pieces) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                pieces.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn named(path: &str) -> String {
    let ident = |c: char| c.is_alphanumeric() || c == '_';
    if path.strip_prefix("lake::TableName").is_some_and(|rest| !rest.starts_with(ident)) {
        return "lake::TableName".to_string();
    }
    path.chars().take_while(|c| ident(*c)).collect()
}

/// True when a line names a crate, rather than a module of another crate with the same name.
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = &code[..at];
        !before.ends_with("::") && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    })
}

fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inner = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push(Source { path: inner, text: fs::read_to_string(&path).unwrap() });
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
