//! `EXECUTE UNIT TEST ...`: run at once, over rows that the statement gives; the warehouse's own are not touched.

use super::models::{first, one_batch};
use super::{Answer, Session};
use crate::catalog::access::Action;
use crate::refresh::Tested;
use crate::serve::Error;
use crate::sql::{Definition, parse_file};
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The columns that it answers with.
pub(super) fn columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(["model", "test", "outcome", "difference"].map(text).to_vec()))
}

impl Session {
    pub(super) async fn unit_test(&self, text: &str, deadline: Option<Instant>) -> Result<Answer, Error> {
        let mut definitions = parse_file(Path::new(""), text).map_err(first)?;
        let Some(Definition::UnitTest(test)) = definitions.pop() else {
            return Err(Error::internal("a unit test was parsed as something else"));
        };
        let cut = self.cut(deadline).await?;
        self.check_may(Action::Maintain(&test.of), &test.of, &cut)?;
        let failure = match self.readers.control.unit_test(&test).await? {
            Tested::Wrong(errors) => return Err(first(errors)),
            Tested::Ran(failure) => failure,
        };
        let outcome = if failure.is_none() { "passed" } else { "failed" };
        let text = |value: Option<String>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let columns = [Some(test.of.to_string()), Some(test.name), Some(outcome.to_string()), failure];
        one_batch(self::columns(), columns.map(text).to_vec(), "EXECUTE UNIT TEST", deadline)
    }
}
