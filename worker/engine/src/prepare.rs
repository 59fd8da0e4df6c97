//! What becomes of decoded rows before they are encoded: those that break a
//! rule of the schema are taken out, the others get the columns of the output.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use parquet::file::metadata::ParquetMetaData;

use crate::error::Error;
use crate::options::Options;
use crate::transform::{FileColumns, Layout};
use crate::validate::{self, Rejected, Screen};

/// The transform and the schema of the options, for one file.
#[derive(Debug, Clone)]
pub(crate) struct Preparation {
    layout: Layout,
    screen: Option<Screen>,
}

/// The rows of a batch, prepared.
pub(crate) struct Prepared {
    /// What is written.
    pub(crate) rows: RecordBatch,
    /// What is not, if there is any.
    pub(crate) rejected: Option<Rejected>,
}

impl Preparation {
    /// Holds the options against the columns of a file, and leaves out of the
    /// file what is not read.
    pub(crate) fn new(
        metadata: Arc<ParquetMetaData>,
        options: &Options,
    ) -> Result<(Self, Arc<ParquetMetaData>), Error> {
        let file = FileColumns::new(metadata.file_metadata().schema_descr());
        let schema = options.schema.as_ref();
        let expected = schema.map_or(&[][..], |schema| &schema.columns);
        let available = validate::available(&file, schema)?;
        let (layout, ruled) = Layout::new(&file, &available, &options.transform, expected)?;
        let screen = schema.and_then(|schema| Screen::new(schema, &ruled));
        let selected = layout.select(Arc::clone(&metadata))?;
        Ok((Self { layout, screen }, selected))
    }

    /// Prepares the rows of a batch; `first_row` rows of the file stand before
    /// it.
    pub(crate) fn prepare(
        &self,
        read: RecordBatch,
        first_row: u64,
    ) -> Result<Prepared, ArrowError> {
        let (kept, rejected) = match &self.screen {
            Some(screen) => screen.screen(read, first_row)?,
            None => (read, None),
        };
        let rows = self.layout.assemble(kept)?;
        Ok(Prepared { rows, rejected })
    }
}
