//! A table's name in the lake.

use std::fmt;

/// How what shows a source's watermark is called.
const WATERMARK_SUFFIX: &str = "__watermark";

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

    /// What shows its watermark: a source's, or that of a streaming table, which follows its source's.
    pub fn watermark(&self) -> Self {
        Self::new(self.schema.clone(), format!("{}{WATERMARK_SUFFIX}", self.name))
    }

    /// The table whose watermark this shows.
    pub fn source_of_watermark(&self) -> Option<Self> {
        Some(Self::new(self.schema.clone(), self.name.strip_suffix(WATERMARK_SUFFIX)?))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}
