//! The SQL files of a project folder.

use crate::lake::TableName;
use crate::sql::{Error, Origin};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest SQL file, bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How deep folders are searched: a link that leads back up must not be followed for ever.
const FOLDER_DEPTH_MAX: usize = 16;

/// Which of the two folders a file stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `catalog/`: the outside world.
    Catalog,
    /// `sql/`: what is computed.
    Sql,
}

/// One SQL file.
#[derive(Debug)]
pub(super) struct SqlFile {
    /// Relative to the project folder.
    pub(super) path: PathBuf,
    pub(super) place: Place,
    pub(super) text: String,
}

/// The texts of a project's SQL files, by their paths relative to the project folder.
pub type Texts = BTreeMap<PathBuf, String>;

/// The texts of a folder's files, as far as they can be read.
pub fn texts(folder: &Path) -> Texts {
    sql_files(folder).0.into_iter().map(|file| (file.path, file.text)).collect()
}

/// Files whose texts were kept.
pub(super) fn kept_files(texts: &Texts) -> Vec<SqlFile> {
    let place = |path: &Path| if path.starts_with("catalog") { Place::Catalog } else { Place::Sql };
    let file = |(path, text): (&PathBuf, &String)| SqlFile {
        place: place(path),
        path: path.clone(),
        text: text.clone(),
    };
    texts.iter().map(file).collect()
}

/// Reads `catalog/**/*.sql` and `sql/**/*.sql`, each sorted by path; hidden files and folders are left out.
pub(super) fn sql_files(folder: &Path) -> (Vec<SqlFile>, Vec<Error>) {
    let (mut files, mut errors) = (vec![], vec![]);
    let places = [("catalog", Place::Catalog), ("sql", Place::Sql)];
    if places.iter().all(|(name, _)| !folder.join(name).is_dir()) {
        let message = format!("{} is no project: it has neither catalog/ nor sql/", folder.display());
        errors.push(
            Error::new("58P01", file_origin(Path::new(".")), message)
                .with_hint("Name the folder with --project, or make a project with: sluice init DIR."),
        );
    }
    for (name, place) in places {
        let mut paths = vec![];
        if let Err(error) = collect(folder, Path::new(name), 0, &mut paths) {
            errors.push(error);
        }
        paths.sort();
        for path in paths {
            match read(folder, &path) {
                Ok(text) => files.push(SqlFile { path, place, text }),
                Err(error) => errors.push(error),
            }
        }
    }
    (files, errors)
}

fn collect(folder: &Path, relative: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), Error> {
    let unreadable = |error: std::io::Error| {
        Error::new("58030", file_origin(relative), format!("the folder could not be read: {error}"))
    };
    let entries = match fs::read_dir(folder.join(relative)) {
        Ok(entries) => entries,
        Err(error) if depth == 0 && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(error)),
    };
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let path = relative.join(entry.file_name());
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Links are followed, so that folders may be mounted.
        let is_folder = fs::metadata(entry.path()).is_ok_and(|m| m.is_dir());
        if is_folder && depth < FOLDER_DEPTH_MAX {
            collect(folder, &path, depth + 1, paths)?;
        } else if !is_folder && path.extension().is_some_and(|extension| extension == "sql") {
            paths.push(path);
        }
    }
    Ok(())
}

fn read(folder: &Path, path: &Path) -> Result<String, Error> {
    let unreadable = |error: std::io::Error| {
        Error::new("58030", file_origin(path), format!("the file could not be read: {error}"))
    };
    let full = folder.join(path);
    let bytes = fs::metadata(&full).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("the file has {bytes} bytes, more than {FILE_BYTES_MAX}");
        return Err(Error::new("54000", file_origin(path), message).with_hint("Data belongs into a source."));
    }
    let bytes = fs::read(&full).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new("22021", file_origin(path), "the file is not UTF-8 text"))?;
    // Editors on Windows put a byte order mark first.
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

/// The start of a file.
pub(super) fn file_origin(path: &Path) -> Origin {
    Origin { file: path.to_path_buf(), line: 1, column: 1 }
}

/// `sql/gold/fact_sales.sql` → gold.fact_sales
pub(super) fn name_of_path(path: &Path) -> Option<TableName> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    match parts.as_slice() {
        ["sql", schema, file] => Some(TableName::new(*schema, file.strip_suffix(".sql")?)),
        _ => None,
    }
}

/// gold.fact_sales → `sql/gold/fact_sales.sql`
pub(super) fn path_of(name: &TableName) -> String {
    format!("sql/{}/{}.sql", name.schema, name.name)
}

/// A path as messages show it, on every system.
pub(super) fn slashed(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}
