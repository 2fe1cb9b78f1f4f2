//! A table's name in the lake.

use std::fmt;

/// `schema.name`; its folder is `<root>/<schema>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// `bronze`, `silver`, `gold`, `sluice` or a schema of one's own.
    pub schema: String,
    /// The table's name.
    pub name: String,
}

impl TableName {
    /// A name from its two parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// The table that holds the rows kept apart from this one.
    pub fn quarantine(&self) -> Self {
        Self::new(self.schema.clone(), format!("{}__quarantine", self.name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}
