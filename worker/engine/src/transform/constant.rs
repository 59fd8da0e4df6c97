//! Columns with the same value in every row.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringViewArray, TimestampMicrosecondArray};
use arrow_schema::ArrowError;

use super::Value;

impl Value {
    /// A column of `rows` times this value.
    pub(super) fn repeat(&self, rows: usize) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(text) => Arc::new(repeat_text(text, rows)?),
            Self::Timestamp(micros) => {
                let column = TimestampMicrosecondArray::from_value(*micros, rows);
                Arc::new(column.with_timezone("UTC"))
            }
        })
    }
}

/// A column of `rows` times `text`, which is held once.
pub(crate) fn repeat_text(text: &str, rows: usize) -> Result<StringViewArray, ArrowError> {
    let once = StringViewArray::from_iter_values([text]);
    let views = vec![once.views()[0]; rows];
    StringViewArray::try_new(views.into(), once.data_buffers().to_vec(), None)
}
