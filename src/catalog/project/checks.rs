//! What must be true of a project's definitions together: what one names, another defines.

use super::super::files::path_of;
use super::super::keys::{no_key, reference_error};
use super::{Loader, Model, QUARANTINE_SUFFIX, RESERVED_SCHEMAS};
use crate::lake::TableName;
use crate::sql::{Error, OptionValue, Options, Origin, did_you_mean, hint_did_you_mean, relations};

impl Loader {
    /// Connections and secrets that are referred to exist, and are of the right kind.
    pub(super) fn check_references(&mut self) {
        if self.catalog_torn {
            return;
        }
        let mut errors: Vec<Error> = self.secrets.values().flat_map(|s| self.unreachable(s)).collect();
        for connection in self.connections.values() {
            errors.extend(self.unknown_secrets(&connection.options, &connection.origin));
        }
        for source in self.sources.values() {
            errors.extend(self.unknown_secrets(&source.options, &source.origin));
            let key = source
                .masking
                .secret()
                .map(|name| ("mask.key".to_string(), OptionValue::Secret(name.to_string())));
            errors.extend(self.unknown_secrets(&key.into_iter().collect(), &source.origin));
            let Some(name) = &source.connection else { continue };
            match self.connections.get(name) {
                Some(connection) if connection.kind == source.connector.to_string() => {}
                Some(connection) => errors.push(Error::new(
                    "42809",
                    source.origin.clone(),
                    format!(
                        "connection \"{name}\" is to {}, and the connector is '{}'",
                        connection.kind, source.connector
                    ),
                )),
                None => {
                    let known = self.connections.keys().map(String::as_str);
                    let hint = hint_did_you_mean(name, known).unwrap_or_else(|| {
                        format!("Write CREATE CONNECTION {name} TO KAFKA (...) in catalog/.")
                    });
                    let message = format!("connection \"{name}\" does not exist");
                    errors.push(Error::new("42704", source.origin.clone(), message).with_hint(hint));
                }
            }
        }
        self.errors.extend(errors);
    }

    pub(super) fn unknown_secrets(&self, options: &Options, origin: &Origin) -> Vec<Error> {
        let secrets = options.values().filter_map(|value| match value {
            OptionValue::Secret(name) => Some(name),
            OptionValue::Text(_) => None,
        });
        let unknown = secrets.filter(|name| !self.secrets.contains_key(*name));
        unknown
            .map(|name| {
                let hint = hint_did_you_mean(name, self.secrets.keys().map(String::as_str));
                let hint = hint.unwrap_or_else(|| {
                    format!(
                        "Write CREATE SECRET {name} WITH (backend = 'env') AS 'VARIABLE_NAME'; in catalog/."
                    )
                });
                Error::new("42704", origin.clone(), format!("secret \"{name}\" does not exist"))
                    .with_hint(hint)
            })
            .collect()
    }

    /// Every table that a model names exists, and what it reads as a stream is one.
    pub(super) fn check_inputs(&mut self) {
        let mut errors = vec![];
        let models = self.models.values();
        let models = models.map(|model| (&model.query().ast, &model.query().streams[..], model.origin()));
        let audits = self.audits.values().flatten().map(|audit| (&audit.query, &[][..], &audit.origin));
        for (query, streams, Origin { file, .. }) in models.chain(audits) {
            for relation in relations(query) {
                let origin = Origin { file: file.clone(), line: relation.line, column: relation.column };
                let is_stream = streams.contains(&relation.name);
                errors.extend(self.input_error(&relation.name, is_stream, origin));
            }
        }
        self.errors.extend(errors);
    }

    pub(super) fn input_error(&self, name: &TableName, is_stream: bool, origin: Origin) -> Option<Error> {
        if RESERVED_SCHEMAS.contains(&name.schema.as_str()) {
            let message =
                format!("a model cannot read \"{name}\": schema {} is the server's own", name.schema);
            return Some(Error::unsupported(origin, message).with_hint("Query it in psql."));
        }
        let guarded = self.guarded(name);
        if !self.is_table(name) && guarded.is_none() {
            if self.missing.contains(name) || self.may_be_torn(name) {
                return None;
            }
            return Some(self.unknown_input(name, origin));
        }
        if !is_stream || self.sources.contains_key(name) || self.foreign.contains_key(name) {
            return None;
        }
        let why = match self.models.get(name) {
            Some(Model::StreamingTable(d)) if d.auto_cdc.is_none() => return None,
            Some(Model::StreamingTable(_)) => {
                "kept by AUTO CDC, whose rows come and go with the changes that it takes"
            }
            Some(Model::MaterializedView(_)) => {
                "a materialized view, whose rows come and go with every refresh"
            }
            Some(Model::View(_)) => "a view, which is not stored",
            None if name.source_of_watermark().is_some() => "a watermark",
            None => "a quarantine table",
        };
        let message = format!("STREAM \"{name}\" is {why}");
        Some(Error::new("42809", origin, message).with_hint(
            "Only sources and streaming tables can be read as a stream: leave STREAM out and make this a materialized view.",
        ))
    }

    /// Every table that a foreign key names exists and declares the key that is meant.
    pub(super) fn check_foreign_keys(&mut self) {
        let mut errors = vec![];
        for key in self.models.values().flat_map(Model::foreign_keys) {
            errors.extend(match self.models.get(&key.table) {
                Some(model) => reference_error(key, model),
                None if self.missing.contains(&key.table) || self.may_be_torn(&key.table) => None,
                None if self.is_table(&key.table) || self.guarded(&key.table).is_some() => {
                    Some(no_key(key, "bronze keeps every record that came"))
                }
                None => Some(self.unknown_input(&key.table, key.origin.clone())),
            });
        }
        self.errors.extend(errors);
    }

    pub(super) fn is_table(&self, name: &TableName) -> bool {
        self.sources.contains_key(name) || self.foreign.contains_key(name) || self.models.contains_key(name)
    }

    /// True when a file of `catalog/` with errors may have defined this: a source, or a table of others in a schema
    /// that is not one of models.
    pub(super) fn may_be_torn(&self, name: &TableName) -> bool {
        let is_of_models = || {
            let missing = self.missing.iter().chain(self.models.keys());
            ["silver", "gold"].contains(&name.schema.as_str())
                || missing.into_iter().any(|model| model.schema == name.schema)
        };
        self.catalog_torn && (name.schema == "bronze" || !is_of_models())
    }

    /// The stored table beside which a quarantine table stands, or the table whose watermark a name shows.
    pub(super) fn guarded(&self, name: &TableName) -> Option<TableName> {
        if let Some(source) = name.source_of_watermark() {
            let follows = |model: &Model| matches!(model, Model::StreamingTable(d) if d.auto_cdc.is_none());
            let has_one = self.sources.contains_key(&source) || self.models.get(&source).is_some_and(follows);
            return has_one.then_some(source);
        }
        if self.models.contains_key(name) {
            return None;
        }
        let table = TableName::new(&name.schema, name.name.strip_suffix(QUARANTINE_SUFFIX)?);
        let stored = self.sources.contains_key(&table)
            || self.models.get(&table).is_some_and(|model| !matches!(model, Model::View(_)));
        stored.then_some(table)
    }

    pub(super) fn unknown_input(&self, name: &TableName, origin: Origin) -> Error {
        let error = Error::new("42P01", origin, format!("table \"{name}\" does not exist"));
        let known = self.sources.keys().chain(self.foreign.keys()).chain(self.models.keys());
        let known: Vec<String> = known.map(TableName::to_string).collect();
        // The right name in the wrong schema is the likelier slip.
        let same_name = known.iter().find(|other| other.rsplit('.').next() == Some(&name.name));
        let near = did_you_mean(&name.to_string(), known.iter().map(String::as_str));
        match same_name.map(String::as_str).or(near) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None if name.schema == "bronze" => {
                error.with_hint(format!("Write CREATE SOURCE {name} (...) in catalog/."))
            }
            None => error.with_hint(format!("Define it in {}.", path_of(name))),
        }
    }

    /// Columns of sources that are commented on exist. (Those of models are known once they are planned.)
    pub(super) fn check_comments(&mut self) {
        let mut errors = vec![];
        for (table, column) in self.column_comments.keys() {
            let Some(source) = self.sources.get(table) else { continue };
            let schema = crate::sql::table_schema(source);
            if schema.field_with_name(column).is_err() {
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                let message = format!("the comment's column \"{column}\" does not exist in \"{table}\"");
                errors.push(
                    Error::new("42703", source.origin.clone(), message)
                        .with_hint_if(hint_did_you_mean(column, names)),
                );
            }
        }
        self.errors.extend(errors);
    }
}
