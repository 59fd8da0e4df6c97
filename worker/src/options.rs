//! The order's output options in the engine's words.

use etl_contract as order;
use etl_engine as engine;

/// Engine options for one source object of an order, of which `records_left`
/// rows may be left out.
pub fn engine(order: &order::WorkOrder, source_uri: &str, _records_left: u64) -> engine::Options {
    let output = &order.output;
    let json = output.json;
    engine::Options {
        encoder: match order.encoder {
            order::Encoder::Columnar => engine::Encoder::Columnar,
            order::Encoder::Reference => engine::Encoder::Reference,
        },
        transform: transform(order, source_uri),
        schema: None,
        format: match output.format {
            order::Format::JsonLines => engine::Format::JsonLines,
            order::Format::JsonArray => engine::Format::JsonArray,
        },
        compression: match output.compression {
            order::Compression::None => engine::Compression::None,
            order::Compression::Gzip => engine::Compression::Gzip,
            order::Compression::Zstd => engine::Compression::Zstd,
        },
        json: engine::JsonOptions {
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
        },
    }
}

fn transform(order: &order::WorkOrder, source_uri: &str) -> engine::Transform {
    let asked = &order.transform;
    // The run's start and not the present: a retry writes the same bytes.
    let start = order.run.start_time.as_microsecond();
    let added = [
        (&asked.ingested_at_column, engine::Value::Timestamp(start)),
        (
            &asked.source_column,
            engine::Value::Text(source_uri.to_owned()),
        ),
    ];
    let constant = |(name, value): (&Option<String>, engine::Value)| {
        let name = name.clone()?;
        Some(engine::Constant { name, value })
    };
    engine::Transform {
        columns: asked.columns.clone(),
        constants: added.into_iter().filter_map(constant).collect(),
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
            assert_eq!(engine(&order, "s3://raw/a", 0).encoder, expected);
        }
    }
}
