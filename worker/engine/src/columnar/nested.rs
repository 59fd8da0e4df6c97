//! Objects, lists and maps.
//!
//! Every field and element is written with a comma before it; the first comma
//! is where the opening bracket belongs and is overwritten in the end. So there
//! is no first field to treat differently, whatever nulls are left out.

use std::ops::Range;

use arrow_array::{Array, ArrayRef, ListArray, MapArray, StructArray};
use arrow_schema::{ArrowError, FieldRef, Fields};

use super::column::{Column, Long, Null, Short, block};
use super::raw::{Cells, Level, Name, Out, Run};
use crate::options::{JsonOptions, NonFinite};

/// `,"name":`
fn field_name(name: &str) -> Vec<u8> {
    let mut text = Out::new(Vec::new(), Level::BASELINE);
    text.put_byte(b',');
    text.put_text(name.as_bytes());
    text.put_byte(b':');
    text.into_bytes()
}

/// The fields of a row or a struct.
pub(super) struct Object<'a> {
    parts: Vec<Part<'a>>,
    null: Null,
    /// The row that the first cells of the block belong to.
    first: usize,
}

/// Fields that follow each other.
enum Part<'a> {
    Shorts(Run, Vec<Short<'a>>),
    Long(Name, Long<'a>),
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
        let mut object = Self {
            parts: Vec::new(),
            null: json.nulls.into(),
            first: 0,
        };
        for (field, array) in fields.iter().zip(columns) {
            object.push(field, Column::new(array, json)?);
        }
        Ok(object)
    }

    fn push(&mut self, field: &FieldRef, column: Column<'a>) {
        let name = field_name(field.name());
        match (column, self.parts.last_mut()) {
            (Column::Long(long), _) => self.parts.push(Part::Long(Name::new(&name), long)),
            (Column::Short(short), Some(Part::Shorts(run, shorts))) => {
                run.push(Cells::new(&name));
                shorts.push(short);
            }
            (Column::Short(short), _) => {
                let mut run = Run::new();
                run.push(Cells::new(&name));
                self.parts.push(Part::Shorts(run, vec![short]));
            }
        }
    }

    /// Formats the short values of `rows`, at most `BLOCK` of them.
    pub(super) fn load(&mut self, rows: Range<usize>) {
        self.first = rows.start;
        for part in &mut self.parts {
            match part {
                Part::Shorts(run, shorts) => {
                    let null = self.null;
                    run.fill(|column, cells| shorts[column].load(rows.clone(), null, cells));
                }
                Part::Long(_, long) => long.load(rows.clone()),
            }
        }
    }

    /// Writes a row that has been loaded.
    #[inline(always)]
    pub(super) fn write(&mut self, row: usize, out: &mut Out) {
        let start = out.len();
        for part in &mut self.parts {
            match part {
                Part::Shorts(run, _) => out.put_run(run, row - self.first),
                Part::Long(name, long) => {
                    if !long.is_null(row) {
                        out.put_name(name);
                        long.write(row, out);
                    } else if self.null == Null::Written {
                        out.put_name(name);
                        out.put(b"null");
                    }
                }
            }
        }
        out.close(*b"{}", start);
    }
}

/// The elements that lists have in common, by their own rows.
enum Elements<'a> {
    Short(Short<'a>, Cells),
    Long(Long<'a>),
}

impl<'a> Elements<'a> {
    /// `before` stands before each of them, if they are in cells.
    fn new(array: &'a ArrayRef, json: JsonOptions, before: &[u8]) -> Result<Self, ArrowError> {
        Ok(match Column::new(array, json)? {
            Column::Short(short) => Self::Short(short, Cells::new(before)),
            Column::Long(long) => Self::Long(long),
        })
    }

    fn load(&mut self, rows: Range<usize>) {
        match self {
            Self::Short(short, cells) => short.load(rows, Null::Written, cells),
            Self::Long(long) => long.load(rows),
        }
    }
}

/// Rows of elements that are loaded; lists ask for them in ascending order.
struct Window {
    loaded: Range<usize>,
    length: usize,
}

impl Window {
    fn new(length: usize) -> Self {
        Self {
            loaded: 0..0,
            length,
        }
    }

    /// The part of `rows` from `at` on that can be written at once; `load` is
    /// called if it is not loaded yet.
    #[inline(always)]
    fn next(
        &mut self,
        at: usize,
        rows: &Range<usize>,
        load: impl FnOnce(Range<usize>),
    ) -> Range<usize> {
        if !self.loaded.contains(&at) {
            self.loaded = block(at, self.length);
            load(self.loaded.clone());
        }
        at..rows.end.min(self.loaded.end)
    }
}

pub(super) struct List<'a> {
    offsets: &'a [i32],
    elements: Elements<'a>,
    window: Window,
}

impl<'a> List<'a> {
    pub(super) fn new(array: &'a ListArray, json: JsonOptions) -> Result<Self, ArrowError> {
        Ok(Self {
            offsets: array.value_offsets(),
            elements: Elements::new(array.values(), json, b",")?,
            window: Window::new(array.values().len()),
        })
    }

    pub(super) fn write(&mut self, row: usize, out: &mut Out) {
        let start = out.len();
        let rows = range(self.offsets, row);
        let mut at = rows.start;
        while at < rows.end {
            let elements = &mut self.elements;
            let ready = self.window.next(at, &rows, |rows| elements.load(rows));
            match &mut self.elements {
                Elements::Short(_, cells) => {
                    let first = self.window.loaded.start;
                    let indices = ready.start - first..ready.end - first;
                    out.put_series(cells, indices);
                }
                Elements::Long(long) => {
                    for element in ready.clone() {
                        out.put_byte(b',');
                        long.write_or_null(element, out);
                    }
                }
            }
            at = ready.end;
        }
        out.close(*b"[]", start);
    }
}

/// Keys become strings whatever their type; null values stay, for leaving them
/// out would lose the key.
pub(super) struct Map<'a> {
    offsets: &'a [i32],
    keys: Elements<'a>,
    values: Elements<'a>,
    window: Window,
}

impl<'a> Map<'a> {
    pub(super) fn new(array: &'a MapArray, json: JsonOptions) -> Result<Self, ArrowError> {
        // There is no null key: a float that is no number is always named.
        let for_keys = JsonOptions {
            non_finite: NonFinite::String,
            ..json
        };
        Ok(Self {
            offsets: array.value_offsets(),
            keys: Elements::new(array.keys(), for_keys, b"")?,
            values: Elements::new(array.values(), json, b":")?,
            window: Window::new(array.keys().len()),
        })
    }

    pub(super) fn write(&mut self, row: usize, out: &mut Out) {
        let start = out.len();
        let rows = range(self.offsets, row);
        let mut at = rows.start;
        while at < rows.end {
            let (keys, values) = (&mut self.keys, &mut self.values);
            let ready = self.window.next(at, &rows, |rows| {
                keys.load(rows.clone());
                values.load(rows);
            });
            let first = self.window.loaded.start;
            for entry in ready.clone() {
                out.put_byte(b',');
                self.write_key(entry, first, out);
                match &mut self.values {
                    Elements::Short(_, cells) => {
                        out.put_series(cells, entry - first..entry - first + 1);
                    }
                    Elements::Long(long) => {
                        out.put_byte(b':');
                        long.write_or_null(entry, out);
                    }
                }
            }
            at = ready.end;
        }
        out.close(*b"{}", start);
    }

    /// Writes a value as an object's key: its text, in quotes if it has none.
    #[inline(always)]
    fn write_key(&mut self, entry: usize, first: usize, out: &mut Out) {
        let start = out.len();
        match &mut self.keys {
            Elements::Short(_, cells) => out.put(cells.get(entry - first)),
            Elements::Long(long) => long.write_or_null(entry, out),
        }
        if out.tail(start).first() != Some(&b'"') {
            out.insert(start, b'"');
            out.put_byte(b'"');
        }
    }
}

#[inline(always)]
fn range(offsets: &[i32], row: usize) -> Range<usize> {
    let offset = |index: usize| usize::try_from(offsets[index]).expect("offsets are not negative");
    offset(row)..offset(row + 1)
}
