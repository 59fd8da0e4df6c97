//! Values that have no JSON text, found before anything is encoded.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Time32MillisecondType, Time64MicrosecondType,
    Time64NanosecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, FieldRef, TimeUnit};

use crate::error::{Error, Place};
use crate::options::NonFinite;

/// Checks all values of `batch`, which comes from `place`.
pub(crate) fn check(
    batch: &RecordBatch,
    place: &Place,
    non_finite: NonFinite,
) -> Result<(), Error> {
    let check = Check {
        place: place.clone(),
        non_finite,
    };
    let schema = batch.schema();
    schema
        .fields()
        .iter()
        .zip(batch.columns())
        .try_for_each(|(field, array)| check.array(field, array, field.name()))
}

/// The items that belong to any row: arrays may be parts of longer ones.
fn within(items: &dyn Array, offsets: &OffsetBuffer<i32>) -> ArrayRef {
    let [first, last] = [offsets[0], offsets[offsets.len() - 1]]
        .map(|offset| usize::try_from(offset).expect("offsets are not negative"));
    items.slice(first, last - first)
}

struct Check {
    place: Place,
    non_finite: NonFinite,
}

impl Check {
    fn array(&self, field: &FieldRef, array: &Arc<dyn Array>, path: &str) -> Result<(), Error> {
        let child =
            |field: &FieldRef, array| self.array(field, array, &format!("{path}.{}", field.name()));
        match field.data_type() {
            DataType::Struct(fields) => fields
                .iter()
                .zip(array.as_struct().columns())
                .try_for_each(|(f, a)| child(f, a)),
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                child(item, &within(list.values(), list.offsets()))
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let entries = within(map.entries(), map.offsets());
                let entries = entries.as_struct();
                if entries.column(0).logical_null_count() > 0 {
                    return Err(self.bad(path, "a map key is null"));
                }
                entries
                    .fields()
                    .iter()
                    .zip(entries.columns())
                    .try_for_each(|(f, a)| child(f, a))
            }
            DataType::Time32(TimeUnit::Millisecond) => {
                self.time::<Time32MillisecondType>(array, path, 86_400_000)
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                self.time::<Time64MicrosecondType>(array, path, 86_400_000_000)
            }
            DataType::Time64(TimeUnit::Nanosecond) => {
                self.time::<Time64NanosecondType>(array, path, 86_400_000_000_000)
            }
            DataType::Float16 => self.float::<Float16Type>(array, path),
            DataType::Float32 => self.float::<Float32Type>(array, path),
            DataType::Float64 => self.float::<Float64Type>(array, path),
            _ => Ok(()),
        }
    }

    fn time<T: ArrowPrimitiveType>(
        &self,
        array: &dyn Array,
        path: &str,
        units_per_day: i64,
    ) -> Result<(), Error>
    where
        T::Native: Into<i64>,
    {
        let mut values = array.as_primitive::<T>().iter().flatten();
        if values.all(|value| (0..units_per_day).contains(&value.into())) {
            return Ok(());
        }
        Err(self.bad(path, "a time of day is not within one day"))
    }

    fn float<T: ArrowPrimitiveType>(&self, array: &dyn Array, path: &str) -> Result<(), Error>
    where
        T::Native: Into<f64>,
    {
        let is_finite = |value: T::Native| Into::<f64>::into(value).is_finite();
        if self.non_finite != NonFinite::Fail
            || array.as_primitive::<T>().iter().flatten().all(is_finite)
        {
            return Ok(());
        }
        let problem = "a value is NaN or infinite, which the output options refuse \
                       (nonFinite: String or Null writes it)";
        Err(self.bad(path, problem))
    }

    fn bad(&self, path: &str, problem: &str) -> Error {
        Error::bad_input(self.place.clone().at_column(path), problem)
    }
}
