//! A project over another warehouse's tables: what is defined there as it is here is read from there, and only what
//! differs, and what reads that, is computed.
//!
//! Comes in: a project, and the one that production runs. Goes out: the project with tables of others in the place of
//! its sources and of the models that are the same. Nothing is copied, and nothing is written there. Pure but for one
//! question: whether a table is there.

use super::project::{Model, Project};
use super::watermarks::followers;
use crate::lake::TableName;
use crate::sql::{
    ColumnTag, Definition, ForeignDefinition, Origin, ViewDefinition, parse_file, quoted_table,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a table of production is looked at: changes should be seen while one looks.
const POLL: Duration = Duration::from_millis(250);

/// The warehouse whose tables are read.
#[derive(Clone, Debug)]
pub struct Production {
    /// Its data folder.
    pub root: PathBuf,
    /// What it runs.
    pub project: Project,
}

/// The models that are to be computed: new ones, others than in production, and all that read one of these.
pub fn computed_here(project: &Project, production: &Project) -> BTreeSet<TableName> {
    let there: BTreeMap<&TableName, String> =
        production.models.iter().map(|model| (model.name(), model.content())).collect();
    let mut here: BTreeSet<TableName> = BTreeSet::new();
    // Inputs come first.
    for model in &project.models {
        let is_same = there.get(model.name()).is_some_and(|content| *content == model.content());
        let inputs = model.query().inputs.iter().chain(model.beside());
        if !is_same || inputs.into_iter().any(|input| here.contains(input)) {
            here.insert(model.name().clone());
        }
    }
    here
}

impl Project {
    /// The project over production's tables.
    pub fn over(mut self, production: &Production) -> Self {
        let here = computed_here(&self, &production.project);
        let followers = followers(&self);
        let mut watermarks = vec![];
        for source in std::mem::take(&mut self.sources).into_values() {
            // A source that production does not have has no rows there: it is taken in here.
            if !is_there(&production.root, &source.name) {
                self.sources.insert(source.name.clone(), source);
                continue;
            }
            self.borrow(production, &source.name, source.tags.clone(), &source.origin);
            self.borrow(production, &source.name.quarantine(), vec![], &source.origin);
            if source.watermark.is_some() {
                watermarks.extend(watermark_view(&source.name.watermark(), &source.name, "_watermark"));
            }
        }
        let (kept, same): (Vec<Model>, Vec<Model>) =
            std::mem::take(&mut self.models).into_iter().partition(|model| {
                // What is not stored has nothing to be read there.
                matches!(model, Model::View(_))
                    || here.contains(model.name())
                    || !is_there(&production.root, model.name())
            });
        for (table, source) in followers {
            if same.iter().any(|model| *model.name() == table) {
                watermarks.extend(watermark_view(&table.watermark(), &source.watermark(), "watermark"));
            }
        }
        self.models = watermarks.into_iter().chain(kept).collect();
        for model in same {
            let name = model.name();
            self.borrow(production, name, model.tags().to_vec(), model.origin());
            self.borrow(production, &name.quarantine(), vec![], model.origin());
            self.audits.remove(name);
            self.unit_tests.remove(name);
        }
        self
    }

    /// Reads a table of production's, if it has it.
    fn borrow(&mut self, production: &Production, name: &TableName, tags: Vec<ColumnTag>, origin: &Origin) {
        if !is_there(&production.root, name) {
            return;
        }
        let definition = ForeignDefinition {
            name: name.clone(),
            columns: vec![],
            tags,
            path: folder(&production.root, name).to_string_lossy().into_owned(),
            poll: POLL,
            sql: format!("{name} of production"),
            origin: origin.clone(),
        };
        self.foreign.insert(name.clone(), Arc::new(definition));
    }
}

fn folder(root: &Path, name: &TableName) -> PathBuf {
    root.join(&name.schema).join(&name.name)
}

fn is_there(root: &Path, name: &TableName) -> bool {
    folder(root, name).join("_delta_log").is_dir()
}

/// A watermark, read from what production took in.
fn watermark_view(name: &TableName, from: &TableName, column: &str) -> Option<Model> {
    let text = format!(
        "CREATE VIEW {} AS SELECT max({column}) AS watermark FROM {} HAVING max({column}) IS NOT NULL",
        quoted_table(name),
        quoted_table(from)
    );
    let name = name.clone();
    match parse_file(Path::new(""), &text).ok()?.pop() {
        Some(Definition::View(view)) => Some(Model::View(Arc::new(ViewDefinition { name, ..view }))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::fixture;

    fn project(models: &[(&str, &str)]) -> Project {
        let source = "CREATE SOURCE bronze.a (id BIGINT, at TIMESTAMPTZ, WATERMARK FOR at AS at) WITH (connector = 'http') FORMAT \
                      PLAIN ENCODE JSON;";
        let files = models.iter().map(|(name, query)| {
            let text = format!("CREATE MATERIALIZED VIEW {name} AS {query};");
            (format!("sql/{}.sql", name.replace('.', "/")), text)
        });
        fixture::project(files.chain([("catalog/a.sql".to_string(), source.to_string())]))
    }

    #[test]
    fn what_differs_and_what_reads_it_is_computed() {
        let production = project(&[
            ("silver.a", "SELECT id FROM bronze.a"),
            ("silver.b", "SELECT id FROM bronze.a WHERE id > 1"),
            ("gold.x", "SELECT a.id FROM silver.a JOIN silver.b ON a.id = b.id"),
            ("gold.y", "SELECT count(*) AS n FROM silver.a"),
        ]);
        let edited = project(&[
            ("silver.a", "SELECT id   /* the same */ FROM bronze.a"),
            ("silver.b", "SELECT id FROM bronze.a WHERE id > 2"),
            ("gold.x", "SELECT a.id FROM silver.a JOIN silver.b ON a.id = b.id"),
            ("gold.y", "SELECT count(*) AS n FROM silver.a"),
            ("gold.z", "SELECT count(*) AS n FROM gold.y"),
        ]);
        let names: Vec<String> =
            computed_here(&edited, &production).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["gold.x", "gold.z", "silver.b"]);
        assert!(computed_here(&production, &production).is_empty());
    }

    #[test]
    fn watermarks_are_read_from_rows() {
        let source = TableName::new("bronze", "a");
        let view = watermark_view(&source.watermark(), &source, "_watermark").unwrap();
        assert_eq!(view.name().to_string(), "bronze.a__watermark");
        assert_eq!(view.query().inputs, [source]);
    }
}
