//! Which files a look finds, and which of them are due.

use super::super::arrivals::{Arrival, Arrivals};
use super::super::folder::{Folder, Found, Stamp};
use super::*;

fn found(start: &Path, path: &str) -> Vec<String> {
    let mut troubles = Vec::new();
    let found = Folder::new(start, path).unwrap().look(&mut troubles);
    assert_eq!(troubles, Vec::<String>::new());
    found.into_iter().map(|found| found.path).collect()
}

#[test]
fn a_path_is_a_folder_a_file_or_a_glob() {
    let folder = tempfile::tempdir().unwrap();
    // A wildcard in the project folder's own name is none.
    let start = folder.path().join("project[1]");
    for name in ["in/a.csv", "in/b.json", "in/2024/c.csv", "in/2024/01/d.csv", "in/2025/e.csv"] {
        fs::create_dir_all(start.join(name).parent().unwrap()).unwrap();
        fs::write(start.join(name), "x").unwrap();
    }
    assert_eq!(found(&start, "in"), ["2024/01/d.csv", "2024/c.csv", "2025/e.csv", "a.csv", "b.json"]);
    assert_eq!(found(&start, "./in/2024/"), ["01/d.csv", "c.csv"]);
    assert_eq!(found(&start, "in/a.csv"), ["a.csv"]);
    assert_eq!(found(&start, "in/*.csv"), ["a.csv"]);
    assert_eq!(found(&start, "in/*/?.csv"), ["2024/c.csv", "2025/e.csv"]);
    assert_eq!(found(&start, "in/**/*.csv"), ["2024/01/d.csv", "2024/c.csv", "2025/e.csv", "a.csv"]);
    let absolute = start.join("in/2025").to_str().unwrap().replace("project[1]", "project[[]1]");
    assert_eq!(found(Path::new("/nowhere"), &format!("{absolute}/*")), ["project[1]/in/2025/e.csv"]);
    assert!(Folder::new(&start, "in/[").is_err());
}

fn seen(path: &str, size: i64, modified_us: i64) -> Found {
    Found { path: path.to_string(), place: PathBuf::from(path), stamp: Stamp { size, modified_us } }
}

fn progress(path: &str, content: &str, taken: i64, done: bool) -> FileProgress {
    let (path, content) = (path.to_string(), content.to_string());
    FileProgress { path, content, size: 5, modified_us: 100, taken, done }
}

#[test]
fn a_file_is_due_when_it_stops_growing() {
    let mut arrivals = Arrivals::new(vec![progress("known", "c", 3, true)], Duration::from_micros(1_000));
    // Old, known by its stamp, empty, and just written.
    let look = [seen("old", 1, 0), seen("known", 5, 100), seen("empty", 0, 0), seen("new", 1, 9_500)];
    assert_eq!(arrivals.look(&look, 10_000), [0]);
    // It grew, then it did not.
    assert_eq!(arrivals.look(&[seen("new", 2, 10_400)], 10_500), [0; 0]);
    assert_eq!(arrivals.look(&[seen("new", 2, 10_400)], 10_600), [0]);
    // A file from the future is due when two looks see it alike.
    assert_eq!(arrivals.look(&[seen("future", 2, 1_000_000)], 10_700), [0; 0]);
    assert_eq!(arrivals.look(&[seen("future", 2, 1_000_000)], 10_800), [0]);
    // A known file with another stamp is looked into.
    assert_eq!(arrivals.look(&[seen("known", 5, 101)], 10_900), [0]);
    arrivals.settle("known", Stamp { size: 5, modified_us: 101 });
    assert_eq!(arrivals.look(&[seen("known", 5, 101)], 11_000), [0; 0]);
}

#[test]
fn an_arrival_is_a_path_and_a_content() {
    let durable = vec![progress("a", "one", 3, true), progress("a", "two", 2, false)];
    let mut arrivals = Arrivals::new(durable, Duration::from_secs(1));
    assert_eq!(arrivals.arrival("a", "one"), Arrival::Taken);
    assert_eq!(arrivals.arrival("a", "two"), Arrival::Begun(2));
    assert_eq!(arrivals.arrival("a", "three"), Arrival::Changed("two".to_string()));
    assert_eq!(arrivals.arrival("b", "one"), Arrival::New);
    arrivals.advance(progress("a", "two", 9, true));
    assert_eq!(arrivals.arrival("a", "two"), Arrival::Taken);
}
