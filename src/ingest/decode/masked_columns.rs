//! Masking of records that come as columns.

use super::mask::{Masker, Node};
use crate::sql::ColumnDefinition;
use arrow::array::{Array, ArrayRef, AsArray as _, ListArray, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use std::sync::Arc;

impl Masker {
    /// The same rows with the fields that are masked masked; those columns then have their declared types. Columns that
    /// are not declared are not kept, so that nothing of them is to be dropped.
    pub(crate) fn columns(
        &self,
        batch: &RecordBatch,
        declared: &[ColumnDefinition],
    ) -> Result<RecordBatch, ArrowError> {
        if self.is_idle() {
            return Ok(batch.clone());
        }
        let schema = batch.schema();
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            let node = self.root().get(field.name());
            let declared = declared.iter().find(|column| column.name == *field.name());
            let (Some(node), Some(declared)) = (node, declared) else {
                fields.push(field.as_ref().clone());
                columns.push(Arc::clone(column));
                continue;
            };
            let masked = self.array(&cast(column, &declared.data_type)?, node)?;
            fields.push(Field::new(field.name(), masked.data_type().clone(), true));
            columns.push(masked);
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    fn array(&self, array: &ArrayRef, node: &Node) -> Result<ArrayRef, ArrowError> {
        match (array.data_type(), &node.method) {
            (DataType::Utf8, method) => {
                let masked = |text: &str| match method {
                    Some(method) => self.text(method, text),
                    None => self.inside_text(text, node),
                };
                let texts = array.as_string::<i32>().iter().map(|text| text.map(masked));
                Ok(Arc::new(texts.collect::<StringArray>()))
            }
            (DataType::List(item), _) => {
                let list = array.as_list::<i32>();
                let values = self.array(list.values(), node)?;
                let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
                Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
            }
            (DataType::Struct(fields), None) => {
                let held = array.as_struct();
                let columns =
                    fields.iter().zip(held.columns()).map(|(field, column)| match node.get(field.name()) {
                        Some(inside) => self.array(column, inside),
                        None => Ok(Arc::clone(column)),
                    });
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                Ok(Arc::new(StructArray::try_new(fields.clone(), columns, held.nulls().cloned())?))
            }
            _ => Ok(Arc::clone(array)),
        }
    }
}
