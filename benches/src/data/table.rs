//! Builds the columns of one batch of generated rows.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use fastrand::Rng;

/// Columns of `rows` rows each, drawn from one source of randomness.
pub(super) struct Table<'r> {
    pub(super) rng: &'r mut Rng,
    pub(super) rows: usize,
    columns: Vec<(String, ArrayRef)>,
}

impl<'r> Table<'r> {
    pub(super) fn new(rng: &'r mut Rng, rows: usize) -> Self {
        let columns = Vec::new();
        Self { rng, rows, columns }
    }

    pub(super) fn into_columns(self) -> Vec<(String, ArrayRef)> {
        self.columns
    }

    pub(super) fn add(&mut self, name: impl Into<String>, column: ArrayRef) {
        self.columns.push((name.into(), column));
    }

    fn collect<T, A>(&mut self, name: impl Into<String>, mut value: impl FnMut(&mut Rng) -> T)
    where
        A: FromIterator<T> + arrow_array::Array + 'static,
    {
        let rng = &mut *self.rng;
        let column: A = (0..self.rows).map(|_| value(rng)).collect();
        self.add(name, Arc::new(column));
    }

    pub(super) fn longs(
        &mut self,
        name: impl Into<String>,
        mut value: impl FnMut(&mut Rng) -> i64,
    ) {
        self.collect::<_, Int64Array>(name, |rng| Some(value(rng)));
    }

    pub(super) fn ints(
        &mut self,
        name: impl Into<String>,
        value: impl FnMut(&mut Rng) -> Option<i32>,
    ) {
        self.collect::<_, Int32Array>(name, value);
    }

    pub(super) fn doubles(
        &mut self,
        name: impl Into<String>,
        mut value: impl FnMut(&mut Rng) -> f64,
    ) {
        self.collect::<_, Float64Array>(name, |rng| Some(value(rng)));
    }

    pub(super) fn floats(
        &mut self,
        name: impl Into<String>,
        mut value: impl FnMut(&mut Rng) -> f32,
    ) {
        self.collect::<_, Float32Array>(name, |rng| Some(value(rng)));
    }

    pub(super) fn booleans(
        &mut self,
        name: impl Into<String>,
        mut value: impl FnMut(&mut Rng) -> bool,
    ) {
        self.collect::<_, BooleanArray>(name, |rng| Some(value(rng)));
    }

    /// Days since 1970-01-01.
    pub(super) fn dates(
        &mut self,
        name: impl Into<String>,
        mut value: impl FnMut(&mut Rng) -> i32,
    ) {
        self.collect::<_, Date32Array>(name, |rng| Some(value(rng)));
    }

    /// Microseconds since 1970-01-01T00:00:00, in no time zone.
    pub(super) fn times(
        &mut self,
        name: impl Into<String>,
        mut value: impl FnMut(&mut Rng) -> i64,
    ) {
        self.collect::<_, TimestampMicrosecondArray>(name, |rng| Some(value(rng)));
    }

    pub(super) fn texts(
        &mut self,
        name: impl Into<String>,
        mut value: impl FnMut(&mut Rng) -> String,
    ) {
        self.collect::<_, StringArray>(name, |rng| Some(value(rng)));
    }

    pub(super) fn some_texts(
        &mut self,
        name: impl Into<String>,
        value: impl FnMut(&mut Rng) -> Option<String>,
    ) {
        self.collect::<_, StringArray>(name, value);
    }
}
