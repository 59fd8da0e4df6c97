//! The order's output options in the engine's words.

use etl_contract as order;
use etl_engine as engine;

/// Engine options of an output, written by an encoder.
pub fn engine(output: &order::Output, encoder: order::Encoder) -> engine::Options {
    let json = output.json;
    engine::Options {
        encoder: match encoder {
            order::Encoder::Columnar => engine::Encoder::Columnar,
            order::Encoder::Reference => engine::Encoder::Reference,
        },
        transform: engine::Transform::default(),
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
        let output: order::Output =
            serde_json::from_str(r#"{"uri": "s3://out/", "keyTemplate": "{stem}"}"#).unwrap();
        for (asked, expected) in [
            (order::Encoder::Columnar, engine::Encoder::Columnar),
            (order::Encoder::Reference, engine::Encoder::Reference),
        ] {
            assert_eq!(engine(&output, asked).encoder, expected);
        }
    }
}
