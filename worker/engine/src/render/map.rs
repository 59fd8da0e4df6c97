//! Maps as objects. Keys become strings whatever their type, null values stay:
//! dropping them would lose the key.

use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, MapArray};
use arrow_buffer::OffsetBuffer;
use arrow_json::writer::{NullableEncoder, make_encoder};
use arrow_json::{Encoder, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef};

use super::number;
use crate::options::NonFinite;

struct MapEncoder<'a> {
    offsets: &'a OffsetBuffer<i32>,
    keys: NullableEncoder<'a>,
    values: NullableEncoder<'a>,
}

impl Encoder for MapEncoder<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let entry = |offset: i32| usize::try_from(offset).expect("offsets are not negative");
        let entries = entry(self.offsets[index])..entry(self.offsets[index + 1]);
        out.push(b'{');
        for index in entries.clone() {
            if index > entries.start {
                out.push(b',');
            }
            encode_key(&mut self.keys, index, out);
            out.push(b':');
            if self.values.is_null(index) {
                out.extend_from_slice(b"null");
            } else {
                self.values.encode(index, out);
            }
        }
        out.push(b'}');
    }
}

/// A key's text is that of the same value elsewhere, with quotes if it has none.
fn encode_key(keys: &mut NullableEncoder<'_>, index: usize, out: &mut Vec<u8>) {
    let start = out.len();
    keys.encode(index, out);
    if out.get(start) != Some(&b'"') {
        out.insert(start, b'"');
        out.push(b'"');
    }
}

pub(super) fn map<'a>(
    field: &'a FieldRef,
    array: &'a MapArray,
    options: &'a EncoderOptions,
) -> Result<Box<dyn Encoder + 'a>, ArrowError> {
    Ok(Box::new(MapEncoder {
        offsets: array.offsets(),
        keys: key_encoder(field, array.keys(), options)?,
        values: make_encoder(field, array.values(), options)?,
    }))
}

/// The usual encoder, except that a NaN key is always named: there is no null key.
fn key_encoder<'a>(
    field: &'a FieldRef,
    keys: &'a dyn Array,
    options: &'a EncoderOptions,
) -> Result<NullableEncoder<'a>, ArrowError> {
    let float = match keys.data_type() {
        DataType::Float16 => number::float::<Float16Type>(field, keys, NonFinite::String)?,
        DataType::Float32 => number::float::<Float32Type>(field, keys, NonFinite::String)?,
        DataType::Float64 => number::float::<Float64Type>(field, keys, NonFinite::String)?,
        _ => return make_encoder(field, keys, options),
    };
    Ok(NullableEncoder::new(float, None))
}
