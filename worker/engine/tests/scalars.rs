//! Every scalar type of parquet, as stored and as rendered. The tables below
//! are the documentation too: `docs/rendering.md` is checked against them.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::fmt::Write;

use etl_engine::{
    Binary, Decimals, Int64, JsonOptions, LocalTimestamps, NonFinite, Options, Timestamps,
};
use support::{Stored, one_column, values};

/// One column type, values in it, and their text.
struct Case {
    declaration: &'static str,
    stored: Stored,
    /// What is stored and what it becomes.
    rows: &'static [(&'static str, &'static str)],
}

fn case(
    declaration: &'static str,
    stored: Stored,
    rows: &'static [(&'static str, &'static str)],
) -> Case {
    Case {
        declaration,
        stored,
        rows,
    }
}

fn bytes(values: &[&[u8]]) -> Vec<Vec<u8>> {
    values.iter().map(|value| value.to_vec()).collect()
}

/// Big-endian two's complement, as decimals are stored in byte arrays.
fn decimal_bytes(value: i128, width: usize) -> Vec<u8> {
    value.to_be_bytes()[16 - width..].to_vec()
}

fn numbers() -> Vec<Case> {
    use Stored::{Bool, F32, F64, Fixed, I32, I64};
    vec![
        case(
            "boolean v",
            Bool(vec![true, false]),
            &[("true", "true"), ("false", "false")],
        ),
        case(
            "int32 v",
            I32(vec![i32::MIN]),
            &[("-2147483648", "-2147483648")],
        ),
        case(
            "int32 v (INTEGER(8,true))",
            I32(vec![-128]),
            &[("-128", "-128")],
        ),
        case(
            "int32 v (INTEGER(16,true))",
            I32(vec![-32768]),
            &[("-32768", "-32768")],
        ),
        case(
            "int32 v (INTEGER(8,false))",
            I32(vec![255]),
            &[("255", "255")],
        ),
        case(
            "int32 v (INTEGER(16,false))",
            I32(vec![65535]),
            &[("65535", "65535")],
        ),
        case(
            "int32 v (INTEGER(32,false))",
            I32(vec![-1]),
            &[("2^32 - 1", "4294967295")],
        ),
        case("int32 v (INT_8)", I32(vec![-128]), &[("-128", "-128")]),
        case("int32 v (INT_16)", I32(vec![300]), &[("300", "300")]),
        case("int32 v (INT_32)", I32(vec![-7]), &[("-7", "-7")]),
        case("int32 v (UINT_8)", I32(vec![255]), &[("255", "255")]),
        case("int32 v (UINT_16)", I32(vec![65535]), &[("65535", "65535")]),
        case(
            "int32 v (UINT_32)",
            I32(vec![-1]),
            &[("2^32 - 1", "4294967295")],
        ),
        case(
            "int64 v",
            I64(vec![(1 << 53) + 1, i64::MIN]),
            &[
                ("2^53 + 1", "9007199254740993"),
                ("-2^63", "-9223372036854775808"),
            ],
        ),
        case(
            "int64 v (INTEGER(64,false))",
            I64(vec![-1]),
            &[("2^64 - 1", "18446744073709551615")],
        ),
        case("int64 v (INT_64)", I64(vec![-7]), &[("-7", "-7")]),
        case(
            "int64 v (UINT_64)",
            I64(vec![-1]),
            &[("2^64 - 1", "18446744073709551615")],
        ),
        case(
            "float v",
            F32(vec![1.1, 1.0, -0.0, f32::MAX, f32::MIN_POSITIVE, f32::NAN]),
            &[
                ("1.1", "1.1"),
                ("1", "1.0"),
                ("-0", "-0.0"),
                ("the largest", "3.4028235e38"),
                ("the smallest normal", "1.1754944e-38"),
                ("NaN", "\"NaN\""),
            ],
        ),
        case(
            "double v",
            F64(vec![
                0.1,
                9_999_999_999.0,
                1e10,
                1e-5,
                9e-6,
                123_456_789.123,
                1e300,
                5e-324,
                1e-7,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ]),
            &[
                ("0.1", "0.1"),
                ("9999999999", "9999999999.0"),
                ("10^10", "1.0e10"),
                ("10^-5", "0.00001"),
                ("9 * 10^-6", "9.0e-6"),
                ("123456789.123", "123456789.123"),
                ("10^300", "1.0e300"),
                ("the smallest", "5.0e-324"),
                ("10^-7", "1.0e-7"),
                ("NaN", "\"NaN\""),
                ("infinity", "\"Infinity\""),
                ("-infinity", "\"-Infinity\""),
            ],
        ),
        case(
            "fixed_len_byte_array(2) v (FLOAT16)",
            Fixed(bytes(&[&[0x00, 0x3e], &[0x66, 0x2e], &[0x00, 0xfc]])),
            &[
                ("1.5", "1.5"),
                ("0.1 as a half", "0.099975586"),
                ("-infinity", "\"-Infinity\""),
            ],
        ),
    ]
}

fn decimals() -> Vec<Case> {
    use Stored::{Bytes, Fixed, I32, I64};
    vec![
        case(
            "int32 v (DECIMAL(9,2))",
            I32(vec![110, -5, 0]),
            &[("1.10", "1.10"), ("-0.05", "-0.05"), ("0.00", "0.00")],
        ),
        case("int64 v (DECIMAL(18,0))", I64(vec![-7]), &[("-7", "-7")]),
        case(
            "int64 v (DECIMAL(18,18))",
            I64(vec![-1]),
            &[("-10^-18", "-0.000000000000000001")],
        ),
        case(
            "fixed_len_byte_array(5) v (DECIMAL(11,4))",
            Fixed(vec![decimal_bytes(-1, 5)]),
            &[("-0.0001", "-0.0001")],
        ),
        case(
            "binary v (DECIMAL(76,0))",
            Bytes(vec![decimal_bytes(1, 1)]),
            &[("1", "1")],
        ),
        case(
            "fixed_len_byte_array(16) v (DECIMAL(38,2))",
            Fixed(vec![decimal_bytes(
                99_999_999_999_999_999_999_999_999_999_999_999_999,
                16,
            )]),
            &[("36 nines, .99", "999999999999999999999999999999999999.99")],
        ),
        case(
            "binary v (DECIMAL(20,3))",
            Bytes(vec![decimal_bytes(-12_345, 2)]),
            &[("-12.345", "-12.345")],
        ),
        case(
            "fixed_len_byte_array(21) v (DECIMAL(50,10))",
            Fixed(vec![
                [vec![0xff; 5], decimal_bytes(-12_345_678_901, 16)].concat(),
            ]),
            &[("-1.2345678901", "-1.2345678901")],
        ),
    ]
}

const DAY: i32 = 20_780; // 2026-11-23
const PICKUP: i64 = 1_609_461_010; // 2021-01-01T00:30:10Z

fn times() -> Vec<Case> {
    use Stored::{I32, I64, I96};
    vec![
        case(
            "int32 v (DATE)",
            I32(vec![DAY, -719_162, 2_932_897]),
            &[
                ("2026-11-23", "\"2026-11-23\""),
                ("1 January 1", "\"0001-01-01\""),
                ("1 January 10000", "\"+10000-01-01\""),
            ],
        ),
        case(
            "int32 v (TIME(MILLIS,true))",
            I32(vec![3_723_000, 3_723_004]),
            &[
                ("01:02:03", "\"01:02:03\""),
                ("4 ms more", "\"01:02:03.004\""),
            ],
        ),
        case(
            "int64 v (TIME(MICROS,false))",
            I64(vec![3_723_000_004]),
            &[("01:02:03 and 4 us", "\"01:02:03.000004\"")],
        ),
        case(
            "int64 v (TIME(NANOS,true))",
            I64(vec![3_723_000_000_004]),
            &[("01:02:03 and 4 ns", "\"01:02:03.000000004\"")],
        ),
        case(
            "int32 v (TIME_MILLIS)",
            I32(vec![0, 86_399_999]),
            &[
                ("midnight", "\"00:00:00\""),
                ("the last of a day", "\"23:59:59.999\""),
            ],
        ),
        case(
            "int64 v (TIME_MICROS)",
            I64(vec![86_399_999_999]),
            &[("the last of a day", "\"23:59:59.999999\"")],
        ),
        case(
            "int64 v (TIMESTAMP(MILLIS,true))",
            I64(vec![PICKUP * 1000, -1]),
            &[
                ("2021-01-01 00:30:10 UTC", "\"2021-01-01T00:30:10.000Z\""),
                ("1 ms before 1970", "\"1969-12-31T23:59:59.999Z\""),
            ],
        ),
        case(
            "int64 v (TIMESTAMP(MICROS,true))",
            I64(vec![PICKUP * 1_000_000, PICKUP * 1_000_000 + 1]),
            &[
                ("2021-01-01 00:30:10 UTC", "\"2021-01-01T00:30:10.000Z\""),
                ("1 us later", "\"2021-01-01T00:30:10.000001Z\""),
            ],
        ),
        case(
            "int64 v (TIMESTAMP(NANOS,true))",
            I64(vec![PICKUP * 1_000_000_000 + 1]),
            &[(
                "1 ns after 00:30:10 UTC",
                "\"2021-01-01T00:30:10.000000001Z\"",
            )],
        ),
        case(
            "int64 v (TIMESTAMP(MICROS,false))",
            I64(vec![PICKUP * 1_000_000, PICKUP * 1_000_000 + 250_000]),
            &[
                (
                    "2021-01-01 00:30:10, no zone",
                    "\"2021-01-01T00:30:10.000Z\"",
                ),
                ("250 ms later", "\"2021-01-01T00:30:10.250Z\""),
            ],
        ),
        case(
            "int64 v (TIMESTAMP_MICROS)",
            I64(vec![PICKUP * 1_000_000]),
            &[("2021-01-01 00:30:10 UTC", "\"2021-01-01T00:30:10.000Z\"")],
        ),
        case(
            "int64 v (TIMESTAMP_MILLIS)",
            I64(vec![PICKUP * 1_000]),
            &[("2021-01-01 00:30:10 UTC", "\"2021-01-01T00:30:10.000Z\"")],
        ),
        case(
            "int64 v (TIMESTAMP(MILLIS,false))",
            I64(vec![i64::MIN, i64::MAX]),
            &[
                ("the earliest", "\"-292275055-05-16T16:47:04.192Z\""),
                ("the latest", "\"+292278994-08-17T07:12:55.807Z\""),
            ],
        ),
        case(
            "int64 v (TIMESTAMP(NANOS,false))",
            I64(vec![i64::MIN, i64::MAX]),
            &[
                ("the earliest", "\"1677-09-21T00:12:43.145224192Z\""),
                ("the latest", "\"2262-04-11T23:47:16.854775807Z\""),
            ],
        ),
        case(
            "int96 v",
            I96(vec![
                (-719_162, 0),
                (18_628, 1_810_000_000_000),
                (18_628, 1_810_000_001_000),
                (18_628, 1_810_000_000_001),
                (2_932_896, 86_399_999_999_999),
            ]),
            &[
                ("1 January 1", "\"0001-01-01T00:00:00.000Z\""),
                ("2021-01-01 00:30:10 UTC", "\"2021-01-01T00:30:10.000Z\""),
                ("1 us later", "\"2021-01-01T00:30:10.000001Z\""),
                ("1 ns later", "\"2021-01-01T00:30:10.000000001Z\""),
                ("the end of 9999", "\"9999-12-31T23:59:59.999999999Z\""),
            ],
        ),
    ]
}

fn texts() -> Vec<Case> {
    use Stored::{Bytes, Fixed, I32};
    vec![
        case(
            "binary v (STRING)",
            Bytes(bytes(&[
                "h\u{e9}llo \u{1f600}".as_bytes(),
                b"\"\\/\n\t\x01",
                "\u{2028}".as_bytes(),
            ])),
            &[
                ("text", "\"h\u{e9}llo \u{1f600}\""),
                ("quote, backslash, slash, controls", r#""\"\\/\n\t\u0001""#),
                ("U+2028", "\"\u{2028}\""),
            ],
        ),
        case(
            "binary v (ENUM)",
            Bytes(bytes(&[b"CARD"])),
            &[("CARD", "\"CARD\"")],
        ),
        case(
            "binary v (UTF8)",
            Bytes(bytes(&[b"older", b""])),
            &[("older", "\"older\""), ("no characters", "\"\"")],
        ),
        case(
            "binary v (JSON)",
            Bytes(bytes(&[b"{\"a\":1}"])),
            &[("{\"a\":1}", r#""{\"a\":1}""#)],
        ),
        case(
            "binary v (BSON)",
            Bytes(bytes(&[&[5, 0, 0, 0, 0]])),
            &[("05000000 00", "\"BQAAAAA=\"")],
        ),
        case(
            "binary v",
            Bytes(bytes(&[&[0x00, 0xff, 0x61, 0x62], b""])),
            &[("00ff6162", "\"AP9hYg==\""), ("no bytes", "\"\"")],
        ),
        case(
            "fixed_len_byte_array(3) v",
            Fixed(bytes(&[b"abc"])),
            &[("616263", "\"YWJj\"")],
        ),
        case(
            "fixed_len_byte_array(16) v (UUID)",
            Fixed(vec![(0..16).collect()]),
            &[("00010203-0405-...", "\"AAECAwQFBgcICQoLDA0ODw==\"")],
        ),
        case("int32 v (UNKNOWN)", I32(vec![]), &[]),
    ]
}

fn default_profile() -> Vec<Case> {
    [numbers(), decimals(), times(), texts()]
        .into_iter()
        .flatten()
        .collect()
}

/// One option, and what it changes.
fn options() -> Vec<(&'static str, JsonOptions, Case)> {
    use Stored::{Bytes, F64, I32, I64, I96};
    let json = JsonOptions::default();
    let millis = JsonOptions {
        timestamps: Timestamps::EpochMillis,
        ..json
    };
    let no_zone = JsonOptions {
        local_timestamps: LocalTimestamps::NoZone,
        ..json
    };
    let text64 = JsonOptions {
        int64: Int64::String,
        ..json
    };
    vec![
        (
            "localTimestamps: NoZone",
            no_zone,
            case(
                "int64 v (TIMESTAMP(MICROS,false))",
                I64(vec![PICKUP * 1_000_000]),
                &[(
                    "2021-01-01 00:30:10, no zone",
                    "\"2021-01-01T00:30:10.000\"",
                )],
            ),
        ),
        (
            "localTimestamps: NoZone",
            no_zone,
            case(
                "int64 v (TIMESTAMP(MICROS,true))",
                I64(vec![PICKUP * 1_000_000]),
                &[("2021-01-01 00:30:10 UTC", "\"2021-01-01T00:30:10.000Z\"")],
            ),
        ),
        (
            "timestamps: EpochMillis",
            millis,
            case(
                "int64 v (TIMESTAMP(MICROS,true))",
                I64(vec![PICKUP * 1_000_000 + 1_999, -1]),
                &[
                    ("1.999 ms after 00:30:10 UTC", "1609461010001"),
                    ("1 us before 1970", "-1"),
                ],
            ),
        ),
        (
            "timestamps: EpochMillis",
            millis,
            case(
                "int96 v",
                I96(vec![(-719_162, 0)]),
                &[("1 January 1", "-62135596800000")],
            ),
        ),
        (
            "int64: String",
            text64,
            case(
                "int64 v",
                I64(vec![(1 << 53) + 1]),
                &[("2^53 + 1", "\"9007199254740993\"")],
            ),
        ),
        (
            "int64: String",
            text64,
            case(
                "int64 v (INTEGER(64,false))",
                I64(vec![-1]),
                &[("2^64 - 1", "\"18446744073709551615\"")],
            ),
        ),
        (
            "int64: String",
            text64,
            case("int32 v", I32(vec![7]), &[("7", "7")]),
        ),
        (
            "decimals: String",
            JsonOptions {
                decimals: Decimals::String,
                ..json
            },
            case(
                "int32 v (DECIMAL(9,2))",
                I32(vec![110]),
                &[("1.10", "\"1.10\"")],
            ),
        ),
        (
            "binary: Hex",
            JsonOptions {
                binary: Binary::Hex,
                ..json
            },
            case(
                "binary v",
                Bytes(bytes(&[&[0x00, 0xff]])),
                &[("00ff", "\"00ff\"")],
            ),
        ),
        (
            "nonFinite: Null",
            JsonOptions {
                non_finite: NonFinite::Null,
                ..json
            },
            case(
                "double v",
                F64(vec![f64::NAN, 1.0]),
                &[("NaN", "null"), ("1", "1.0")],
            ),
        ),
    ]
}

fn assert_case(case: &Case, json: JsonOptions) {
    assert_eq!(case.stored.len(), case.rows.len(), "{}", case.declaration);
    let file = one_column(case.declaration, &case.stored);
    let rendered = values(
        file,
        &Options {
            json,
            ..Options::default()
        },
    );
    let expected: Vec<&str> = case.rows.iter().map(|&(_, text)| text).collect();
    assert_eq!(rendered, expected, "{}", case.declaration);
    for text in &rendered {
        serde_json::from_str::<serde_json::Value>(text).expect("every value is JSON");
    }
}

#[test]
fn every_type_renders_as_the_default_profile_says() {
    for case in default_profile() {
        assert_case(&case, JsonOptions::default());
    }
}

#[test]
fn every_option_changes_what_it_says() {
    for (_, json, case) in options() {
        assert_case(&case, json);
    }
}

#[test]
fn every_finite_float_reads_back_as_itself() {
    let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
    let mut numbers = Vec::new();
    while numbers.len() < 20_000 {
        bits = bits
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        numbers.extend(Some(f64::from_bits(bits)).filter(|number| number.is_finite()));
    }
    let rendered = values(
        one_column("double v", &Stored::F64(numbers.clone())),
        &Options::default(),
    );
    for (text, number) in rendered.iter().zip(numbers) {
        assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits());
    }
}

/// The documentation's tables, from the cases above.
fn tables() -> String {
    let mut text = String::from("| Parquet column | Stored value | JSON |\n|---|---|---|\n");
    for case in default_profile() {
        for (stored, json) in case.rows {
            let kind = case.declaration.replace(" v", "");
            writeln!(text, "| `{kind}` | {stored} | `{json}` |").unwrap();
        }
    }
    text.push_str(
        "\n| `output.json` | Parquet column | Stored value | JSON |\n|---|---|---|---|\n",
    );
    text.push_str(&differences());
    text
}

/// What each option makes of every value above that it changes.
fn differences() -> String {
    let mut profiles: Vec<(&str, JsonOptions)> = Vec::new();
    for (option, json, _) in options() {
        if profiles.iter().all(|&(known, _)| known != option) {
            profiles.push((option, json));
        }
    }
    let render = |case: &Case, json| {
        let file = one_column(case.declaration, &case.stored);
        let options = Options {
            json,
            ..Options::default()
        };
        values(file, &options)
    };
    let cases: Vec<(Case, Vec<String>)> = default_profile()
        .into_iter()
        .map(|case| {
            let plain = render(&case, JsonOptions::default());
            (case, plain)
        })
        .collect();
    let mut text = String::new();
    for (option, json) in profiles {
        for (case, plain) in &cases {
            let kind = case.declaration.replace(" v", "");
            let stored = case.rows.iter().map(|&(stored, _)| stored);
            for ((stored, plain), changed) in stored.zip(plain).zip(render(case, json)) {
                if *plain != changed {
                    writeln!(text, "| `{option}` | `{kind}` | {stored} | `{changed}` |").unwrap();
                }
            }
        }
    }
    text
}

/// Run by `cargo xtask gen` with `UPDATE_DOCS=1`, which writes the tables instead
/// of comparing them.
#[test]
fn the_documentation_shows_these_tables() {
    const BEGIN: &str = "<!-- tables: begin -->\n";
    const END: &str = "<!-- tables: end -->\n";

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rendering.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page
        .split_once(BEGIN)
        .expect("the page marks where the tables begin");
    let (shown, after) = rest
        .split_once(END)
        .expect("the page marks where the tables end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{}{END}{after}", tables())).unwrap();
        return;
    }
    assert_eq!(shown, tables(), "out of date: run cargo xtask gen");
}
