//! Objects, lists and maps.
//!
//! Every field and element is written with a comma before it; the first comma
//! is where the opening bracket belongs and is overwritten in the end. So there
//! is no first field to treat differently, whatever nulls are left out.

use arrow_array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow_schema::{ArrowError, FieldRef, Fields};

use super::buffer::{put, window};
use super::column::{Column, Values, put_null, write_key};
use super::string;
use crate::options::{JsonOptions, NonFinite, Nulls};

/// Names up to this length, with their punctuation, are copied without a loop.
const SHORT_NAME: usize = 32;

/// The fields of a row or a struct.
pub(super) struct Object<'a> {
    fields: Vec<Field<'a>>,
    nulls: Nulls,
}

struct Field<'a> {
    name: Name,
    column: Column<'a>,
}

/// `,"name":`
struct Name {
    text: Vec<u8>,
    length: usize,
    short: [u8; SHORT_NAME],
}

impl Name {
    fn new(name: &str) -> Self {
        let mut text = vec![b','];
        let end = string::quoted(name.as_bytes(), name.len(), &mut text, 1);
        let length = put(&mut text, end, b":");
        text.resize(length.max(SHORT_NAME), 0);
        let mut short = [0; SHORT_NAME];
        short.copy_from_slice(&text[..SHORT_NAME]);
        Self {
            text,
            length,
            short,
        }
    }

    #[inline(always)]
    fn write(&self, out: &mut Vec<u8>, at: usize) -> usize {
        if self.length > SHORT_NAME {
            return put(out, at, &self.text[..self.length]);
        }
        window::<SHORT_NAME>(out, at).copy_from_slice(&self.short);
        at + self.length
    }
}

impl<'a> Object<'a> {
    pub(super) fn new(array: &'a StructArray, json: JsonOptions) -> Result<Self, ArrowError> {
        Self::of(array.fields(), array.columns(), json)
    }

    pub(super) fn of(
        fields: &Fields,
        columns: &'a [ArrayRef],
        json: JsonOptions,
    ) -> Result<Self, ArrowError> {
        let field = |(field, array): (&FieldRef, &'a ArrayRef)| {
            let (name, column) = (Name::new(field.name()), Column::new(array, json)?);
            Ok(Field { name, column })
        };
        Ok(Self {
            fields: fields
                .iter()
                .zip(columns)
                .map(field)
                .collect::<Result<_, ArrowError>>()?,
            nulls: json.nulls,
        })
    }

    #[inline(always)]
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        let start = at;
        let mut at = at;
        for Field { name, column } in &self.fields {
            if column.is_null(row) {
                if self.nulls == Nulls::Explicit {
                    at = name.write(out, at);
                    at = put_null(out, at);
                }
                continue;
            }
            at = name.write(out, at);
            at = column.values.write(row, out, at);
        }
        brackets(*b"{}", start, at, out)
    }
}

/// Puts the brackets around what was written from `start` to `end`.
#[inline(always)]
fn brackets([open, close]: [u8; 2], start: usize, end: usize, out: &mut Vec<u8>) -> usize {
    let end = end.max(start + 1);
    *window(out, end) = [close];
    out[start] = open;
    end + 1
}

pub(super) struct List<'a> {
    offsets: &'a [i32],
    elements: Column<'a>,
}

impl<'a> List<'a> {
    pub(super) fn new(array: &'a ListArray, json: JsonOptions) -> Result<Self, ArrowError> {
        Ok(Self {
            offsets: array.value_offsets(),
            elements: Column::new(array.values(), json)?,
        })
    }

    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        let start = at;
        let mut at = at;
        for element in range(self.offsets, row) {
            *window(out, at) = *b",";
            at = self.elements.write_or_null(element, out, at + 1);
        }
        brackets(*b"[]", start, at, out)
    }
}

/// Keys become strings whatever their type; null values stay, for leaving them
/// out would lose the key.
pub(super) struct Map<'a> {
    offsets: &'a [i32],
    keys: Values<'a>,
    keys_are_text: bool,
    values: Column<'a>,
}

impl<'a> Map<'a> {
    pub(super) fn new(array: &'a MapArray, json: JsonOptions) -> Result<Self, ArrowError> {
        // There is no null key: a float that is no number is always named.
        let for_keys = JsonOptions {
            non_finite: NonFinite::String,
            ..json
        };
        let keys = Column::new(array.keys(), for_keys)?.values;
        Ok(Self {
            offsets: array.value_offsets(),
            keys_are_text: keys.is_always_text(),
            keys,
            values: Column::new(array.values(), json)?,
        })
    }

    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>, at: usize) -> usize {
        let start = at;
        let mut at = at;
        for entry in range(self.offsets, row) {
            *window(out, at) = *b",";
            at = if self.keys_are_text {
                self.keys.write(entry, out, at + 1)
            } else {
                write_key(&self.keys, entry, out, at + 1)
            };
            *window(out, at) = *b":";
            at = self.values.write_or_null(entry, out, at + 1);
        }
        brackets(*b"{}", start, at, out)
    }
}

#[inline(always)]
fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let offset = |index: usize| usize::try_from(offsets[index]).expect("offsets are not negative");
    offset(row)..offset(row + 1)
}
