//! From decoded values to JSON text: one row after the other through
//! arrow-json, with our own encoders for every type whose default rendering
//! differs from the documented profile.
//!
//! This is the reference encoder. Values that cannot be written at all have
//! been refused before (see `schema` and `check`), so encoding never fails.

mod binary;
mod calendar;
mod map;
mod number;
mod time;

pub(crate) use calendar::write_date;
pub(crate) use time::Instant;

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int64Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch, StructArray};
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, Field, FieldRef};

use crate::options::{Format, Int64, JsonOptions, Nulls};

/// Options without a factory: arrow-json's own encoders, for ours to build on.
static PLAIN: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

/// Renders record batches as rows of one output format.
#[derive(Debug, Clone)]
pub(crate) struct Renderer {
    format: Format,
    options: EncoderOptions,
}

impl Renderer {
    pub(crate) fn new(format: Format, json: JsonOptions) -> Self {
        let options = EncoderOptions::default()
            .with_explicit_nulls(json.nulls == Nulls::Explicit)
            .with_encoder_factory(Arc::new(Encoders { json }));
        Self { format, options }
    }

    /// Renders all rows of `batch`; `emit` takes the buffer whenever a row has
    /// been completed and may drain it.
    ///
    /// `first_row` is the number of rows before this batch in the output.
    pub(crate) fn render<E: From<ArrowError>>(
        &self,
        batch: &RecordBatch,
        first_row: u64,
        buffer: &mut Vec<u8>,
        mut emit: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = StructArray::from(batch.clone());
        let field: FieldRef = Arc::new(Field::new("", rows.data_type().clone(), false));
        let mut encoder = make_encoder(&field, &rows, &self.options)?;
        for index in 0..rows.len() {
            let separated = self.format == Format::JsonArray && (first_row > 0 || index > 0);
            if separated {
                buffer.push(b',');
            }
            encoder.encode(index, buffer);
            if self.format == Format::JsonLines {
                buffer.push(b'\n');
            }
            emit(buffer)?;
        }
        Ok(())
    }
}

/// Chooses the encoder of each column and nested value.
#[derive(Debug)]
struct Encoders {
    json: JsonOptions,
}

impl EncoderFactory for Encoders {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let json = self.json;
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Int64 if json.int64 == Int64::String => number::quoted::<Int64Type>(array),
            DataType::UInt64 if json.int64 == Int64::String => number::quoted::<UInt64Type>(array),
            DataType::Float16 => number::float::<Float16Type>(field, array, json.non_finite)?,
            DataType::Float32 => number::float::<Float32Type>(field, array, json.non_finite)?,
            DataType::Float64 => number::float::<Float64Type>(field, array, json.non_finite)?,
            DataType::Decimal128(..) => number::decimal::<Decimal128Type>(array, json.decimals),
            DataType::Decimal256(..) => number::decimal::<Decimal256Type>(array, json.decimals),
            DataType::Date32 => time::date(array),
            DataType::Time32(_) | DataType::Time64(_) => time::time_of_day(array)?,
            DataType::Timestamp(_, zone) => time::timestamp(array, zone.is_some(), json)?,
            DataType::Interval(_) => time::int96(array, json),
            DataType::BinaryView => binary::bytes(array.as_binary_view(), json.binary),
            DataType::FixedSizeBinary(_) => {
                binary::bytes(array.as_fixed_size_binary(), json.binary)
            }
            DataType::Map(..) => map::map(field, array.as_map(), options)?,
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}
