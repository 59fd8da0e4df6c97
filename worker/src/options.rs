//! The order's options in the engine's words.

use etl_contract as order;
use etl_engine as engine;

/// A schema that the engine cannot hold anything against.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema.columns, {column:?}: {error}")]
pub struct SchemaError {
    column: String,
    error: engine::BoundsError,
}

/// Engine options for all source objects of an order.
#[derive(Clone, Debug)]
pub struct ObjectOptions {
    /// Those that do not depend on the object.
    shared: engine::Options,
    source_column: Option<String>,
    keeps_rejected: bool,
}

impl ObjectOptions {
    /// The options that `order` asks for.
    ///
    /// # Errors
    /// A column whose bounds cannot be read.
    pub fn new(order: &order::WorkOrder) -> Result<Self, SchemaError> {
        let output = &order.output;
        let schema = order.schema.as_ref();
        let keeps_rejected = schema
            .is_some_and(|schema| schema.on_invalid_record == order::OnInvalidRecord::Quarantine);
        Ok(ObjectOptions {
            shared: engine::Options {
                encoder: match order.encoder {
                    order::Encoder::Columnar => engine::Encoder::Columnar,
                    order::Encoder::Reference => engine::Encoder::Reference,
                },
                transform: transform(order),
                schema: schema.map(self::schema).transpose()?,
                format: match output.format {
                    order::Format::JsonLines => engine::Format::JsonLines,
                    order::Format::JsonArray => engine::Format::JsonArray,
                },
                compression: match output.compression {
                    order::Compression::None => engine::Compression::None,
                    order::Compression::Gzip => engine::Compression::Gzip,
                    order::Compression::Zstd => engine::Compression::Zstd,
                },
                json: json(output.json),
            },
            source_column: order.transform.source_column.clone(),
            keeps_rejected,
        })
    }

    /// Those for looking at an object as a whole.
    pub fn of_all_columns(&self) -> engine::Options {
        engine::Options {
            transform: engine::Transform::default(),
            schema: None,
            ..self.shared.clone()
        }
    }

    /// Those for the object at `uri`, of which `records_left` rows may be left
    /// out.
    pub fn of(&self, uri: &str, records_left: u64) -> engine::Options {
        let mut options = self.shared.clone();
        if let Some(name) = &self.source_column {
            options.transform.constants.push(engine::Constant {
                name: name.clone(),
                value: engine::Value::Text(uri.to_owned()),
            });
        }
        if let Some(schema) = &mut options.schema {
            schema.max_invalid_records = records_left;
            if self.keeps_rejected {
                let source = uri.to_owned();
                schema.on_invalid_record = engine::OnInvalidRecord::Quarantine { source };
            }
        }
        options
    }
}

fn transform(order: &order::WorkOrder) -> engine::Transform {
    // The run's start and not the present: a retry writes the same bytes.
    let start = order.run.start_time.as_microsecond();
    let ingested_at = order.transform.ingested_at_column.clone();
    engine::Transform {
        columns: order.transform.columns.clone(),
        constants: ingested_at
            .into_iter()
            .map(|name| engine::Constant {
                name,
                value: engine::Value::Timestamp(start),
            })
            .collect(),
    }
}

fn schema(schema: &order::Schema) -> Result<engine::Schema, SchemaError> {
    let columns: Result<Vec<_>, _> = schema.columns.iter().map(column).collect();
    Ok(engine::Schema {
        columns: columns?,
        on_missing_column: match schema.on_missing_column {
            order::OnMissingColumn::Fail => engine::OnMissingColumn::Fail,
            order::OnMissingColumn::Null => engine::OnMissingColumn::Null,
        },
        on_extra_column: match schema.on_extra_column {
            order::OnExtraColumn::Keep => engine::OnExtraColumn::Keep,
            order::OnExtraColumn::Drop => engine::OnExtraColumn::Drop,
            order::OnExtraColumn::Fail => engine::OnExtraColumn::Fail,
        },
        on_invalid_record: match schema.on_invalid_record {
            order::OnInvalidRecord::Fail => engine::OnInvalidRecord::Fail,
            // Where to is said for each object.
            order::OnInvalidRecord::Skip | order::OnInvalidRecord::Quarantine => {
                engine::OnInvalidRecord::Skip
            }
        },
        max_invalid_records: schema.max_invalid_records,
    })
}

fn column(column: &order::SchemaColumn) -> Result<engine::SchemaColumn, SchemaError> {
    let column_type = column_type(column.kind);
    let bounds = engine::Bounds::parse(column_type, column.min.as_deref(), column.max.as_deref())
        .map_err(|error| SchemaError {
        column: column.name.clone(),
        error,
    })?;
    Ok(engine::SchemaColumn {
        name: column.name.clone(),
        column_type,
        required: column.required,
        bounds,
    })
}

fn column_type(kind: order::ColumnType) -> engine::ColumnType {
    match kind {
        order::ColumnType::Boolean => engine::ColumnType::Boolean,
        order::ColumnType::Integer => engine::ColumnType::Integer,
        order::ColumnType::Number => engine::ColumnType::Number,
        order::ColumnType::String => engine::ColumnType::String,
        order::ColumnType::Binary => engine::ColumnType::Binary,
        order::ColumnType::Date => engine::ColumnType::Date,
        order::ColumnType::Time => engine::ColumnType::Time,
        order::ColumnType::Timestamp => engine::ColumnType::Timestamp,
        order::ColumnType::List => engine::ColumnType::List,
        order::ColumnType::Map => engine::ColumnType::Map,
        order::ColumnType::Struct => engine::ColumnType::Struct,
    }
}

fn json(json: order::JsonOptions) -> engine::JsonOptions {
    engine::JsonOptions {
        nulls: match json.nulls {
            order::Nulls::Omit => engine::Nulls::Omit,
            order::Nulls::Explicit => engine::Nulls::Explicit,
        },
        local_timestamps: match json.local_timestamps {
            order::LocalTimestamps::Utc => engine::LocalTimestamps::Utc,
            order::LocalTimestamps::NoZone => engine::LocalTimestamps::NoZone,
        },
        timestamps: match json.timestamps {
            order::Timestamps::Iso => engine::Timestamps::Iso,
            order::Timestamps::EpochMillis => engine::Timestamps::EpochMillis,
        },
        int64: match json.int64 {
            order::Int64::Number => engine::Int64::Number,
            order::Int64::String => engine::Int64::String,
        },
        decimals: match json.decimals {
            order::Decimals::Number => engine::Decimals::Number,
            order::Decimals::String => engine::Decimals::String,
        },
        binary: match json.binary {
            order::Binary::Base64 => engine::Binary::Base64,
            order::Binary::Hex => engine::Binary::Hex,
        },
        non_finite: match json.non_finite {
            order::NonFinite::String => engine::NonFinite::String,
            order::NonFinite::Null => engine::NonFinite::Null,
            order::NonFinite::Fail => engine::NonFinite::Fail,
        },
    }
}

/// Media type of an output. Compressed objects are named by their compression
/// and not by a Content-Encoding, because readers go by the key's suffix and a
/// client that decodes on its own would break them.
pub fn content_type(output: &order::Output) -> &'static str {
    match (output.compression, output.format) {
        (order::Compression::Gzip, _) => "application/gzip",
        (order::Compression::Zstd, _) => "application/zstd",
        (order::Compression::None, order::Format::JsonLines) => "application/x-ndjson",
        (order::Compression::None, order::Format::JsonArray) => "application/json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoder_is_the_one_that_is_asked_for() {
        let mut order: order::WorkOrder = serde_json::from_value(serde_json::json!({
            "version": 1,
            "job": {"cluster": "c", "namespace": "n", "name": "j", "uid": "u",
                    "created": "2021-01-01T00:00:00Z", "owner": "o"},
            "run": {"number": 1, "workHash": "v1:00", "startTime": "2021-01-01T00:00:00Z"},
            "attempt": 1, "shards": 1, "mode": "Convert", "activeDeadlineSeconds": 60,
            "source": {"uri": "s3://raw/a"},
            "output": {"uri": "s3://out/", "keyTemplate": "{stem}"}
        }))
        .unwrap();
        for (asked, expected) in [
            (order::Encoder::Columnar, engine::Encoder::Columnar),
            (order::Encoder::Reference, engine::Encoder::Reference),
        ] {
            order.encoder = asked;
            let options = ObjectOptions::new(&order).unwrap();
            assert_eq!(options.of("s3://raw/a", 0).encoder, expected);
        }
    }
}
