//! Columns and rows held against a schema.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray,
};
use bytes::Bytes;
use etl_engine::{
    Bounds, Budget, ColumnType, Conversion, Error, ErrorKind, Format, JsonOptions, NonFinite,
    Nulls, OnExtraColumn, OnInvalidRecord, OnMissingColumn, Options, Schema, SchemaColumn,
    Transform,
};
use support::{
    BUDGET, Converted, Levels, Stored, convert, convert_and_reject, one_column, write, write_leaves,
};

fn column(name: &str, column_type: ColumnType) -> SchemaColumn {
    SchemaColumn {
        name: name.to_owned(),
        column_type,
        required: false,
        bounds: Bounds::default(),
    }
}

fn required(name: &str, column_type: ColumnType) -> SchemaColumn {
    SchemaColumn {
        required: true,
        ..column(name, column_type)
    }
}

fn bounded(name: &str, column_type: ColumnType, min: &str, max: &str) -> SchemaColumn {
    let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let (min, max) = (given(min), given(max));
    SchemaColumn {
        bounds: Bounds::parse(column_type, min.as_deref(), max.as_deref()).unwrap(),
        ..column(name, column_type)
    }
}

fn options(columns: Vec<SchemaColumn>) -> Options {
    Options {
        schema: Some(Schema {
            columns,
            ..Schema::default()
        }),
        ..Options::default()
    }
}

fn skipping(columns: Vec<SchemaColumn>, max_invalid_records: u64) -> Options {
    with(options(columns), |schema| {
        schema.on_invalid_record = OnInvalidRecord::Skip;
        schema.max_invalid_records = max_invalid_records;
    })
}

fn quarantining(columns: Vec<SchemaColumn>) -> Options {
    with(skipping(columns, 1_000_000), |schema| {
        schema.on_invalid_record = OnInvalidRecord::Quarantine {
            source: "s3://raw/a.parquet".to_owned(),
        };
    })
}

fn with(mut options: Options, change: impl FnOnce(&mut Schema)) -> Options {
    change(options.schema.as_mut().unwrap());
    options
}

fn ints(values: impl Into<Int32Array>) -> ArrayRef {
    Arc::new(values.into())
}

/// Columns `id` (1, 2, 3, null), `fare` (8.5, -1, NaN, 3), `flag` (text).
fn trips() -> Vec<u8> {
    let batch = RecordBatch::try_from_iter([
        ("id", ints(vec![Some(1), Some(2), Some(3), None])),
        (
            "fare",
            Arc::new(Float64Array::from(vec![8.5, -1.0, f64::NAN, 3.0])) as ArrayRef,
        ),
        (
            "flag",
            Arc::new(StringArray::from(vec!["N", "Y", "N", "\u{e4}\u{f6}\u{fc}"])),
        ),
    ]);
    write(&[batch.unwrap()])
}

fn mismatch(file: Vec<u8>, options: &Options) -> String {
    let error = convert(file, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
    error.to_string()
}

fn invalid(file: Vec<u8>, options: &Options) -> String {
    let error = convert(file, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRecords);
    error.to_string()
}

fn all(file: impl Into<Bytes>, options: &Options) -> Converted {
    convert_and_reject(file, options, &BUDGET).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_file_that_fits_is_written_as_without_a_schema() {
    let fits = options(vec![
        required("fare", ColumnType::Number),
        column("id", ColumnType::Integer),
        bounded("flag", ColumnType::String, "1", "3"),
    ]);
    let plain = convert(trips(), &Options::default()).unwrap();
    assert_eq!(convert(trips(), &fits).unwrap(), plain);
}

/// Every type of a schema, a column that has it, and what the file says it is.
#[test]
fn types_are_told_apart() {
    use ColumnType::{
        Binary, Boolean, Date, Integer, List, Map, Number, String, Struct, Time, Timestamp,
    };
    let every = [
        Boolean, Integer, Number, String, Binary, Date, Time, Timestamp, List, Map, Struct,
    ];
    let fixed = |width| Stored::Fixed(vec![vec![0; width]]);
    for (declaration, stored, is) in [
        ("boolean v", Stored::Bool(vec![true]), Boolean),
        ("int32 v", Stored::I32(vec![1]), Integer),
        ("int32 v (INTEGER(8,false))", Stored::I32(vec![1]), Integer),
        ("int64 v (INTEGER(64,false))", Stored::I64(vec![1]), Integer),
        ("float v", Stored::F32(vec![1.0]), Number),
        ("double v", Stored::F64(vec![1.0]), Number),
        ("fixed_len_byte_array(2) v (FLOAT16)", fixed(2), Number),
        ("int32 v (DECIMAL(9,2))", Stored::I32(vec![1]), Number),
        (
            "fixed_len_byte_array(20) v (DECIMAL(45,2))",
            fixed(20),
            Number,
        ),
        ("binary v (STRING)", Stored::Bytes(vec![vec![]]), String),
        ("binary v (JSON)", Stored::Bytes(vec![vec![]]), String),
        ("binary v (ENUM)", Stored::Bytes(vec![vec![]]), String),
        ("binary v", Stored::Bytes(vec![vec![]]), Binary),
        ("binary v (BSON)", Stored::Bytes(vec![vec![]]), Binary),
        ("fixed_len_byte_array(16) v (UUID)", fixed(16), Binary),
        ("int32 v (DATE)", Stored::I32(vec![1]), Date),
        ("int32 v (TIME(MILLIS,true))", Stored::I32(vec![1]), Time),
        ("int64 v (TIME(NANOS,true))", Stored::I64(vec![1]), Time),
        (
            "int64 v (TIMESTAMP(MICROS,false))",
            Stored::I64(vec![1]),
            Timestamp,
        ),
        ("int96 v", Stored::I96(vec![(0, 0)]), Timestamp),
    ] {
        let file = one_column(declaration, &stored);
        for asked in every {
            let result = convert(file.clone(), &options(vec![column("v", asked)]));
            let fits = asked == is || (asked, is) == (Number, Integer);
            assert_eq!(result.is_ok(), fits, "{declaration} as {asked}: {result:?}");
        }
    }
    let nested = nested();
    for (name, is) in [("l", List), ("m", Map), ("s", Struct)] {
        for asked in every {
            let result = convert(nested.clone(), &options(vec![column(name, asked)]));
            assert_eq!(result.is_ok(), asked == is, "{name} as {asked}: {result:?}");
        }
    }
}

fn nested() -> Vec<u8> {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    let mut map = arrow_array::builder::MapBuilder::new(
        None,
        StringBuilder::new(),
        arrow_array::builder::Int32Builder::new(),
    );
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    let inner = vec![("x", ints(vec![1]))];
    let inner = arrow_array::StructArray::try_from(inner).unwrap();
    let batch = RecordBatch::try_from_iter([
        ("l", Arc::new(list) as ArrayRef),
        ("m", Arc::new(map.finish())),
        ("s", Arc::new(inner)),
    ]);
    write(&[batch.unwrap()])
}

#[test]
fn a_column_of_another_type_is_named_with_both() {
    assert_eq!(
        mismatch(trips(), &options(vec![column("flag", ColumnType::Number)])),
        "column \"flag\": the schema asks for Number, and the file has String (Utf8)"
    );
    assert_eq!(
        mismatch(nested(), &options(vec![column("l", ColumnType::Struct)])),
        "column \"l\": the schema asks for Struct, and the file has List"
    );
}

#[test]
fn an_always_null_column_is_of_any_type_and_never_what_is_required() {
    let schema = "message m { optional int32 v (UNKNOWN); required int32 w; }";
    let levels = Levels {
        definition: Some(vec![0]),
        ..Levels::default()
    };
    let leaves = [
        (Stored::I32(vec![]), levels),
        (Stored::I32(vec![1]), Levels::default()),
    ];
    let file = write_leaves(schema, &leaves);
    let bounds = bounded("v", ColumnType::Date, "2021-01-01", "");
    assert_eq!(
        convert(file.clone(), &options(vec![bounds])).unwrap(),
        "{\"w\":1}\n"
    );
    assert_eq!(
        invalid(file, &options(vec![required("v", ColumnType::List)])),
        "row 1, column \"v\": the value is null and the column is required"
    );
}

#[test]
fn a_missing_column_is_refused_or_null() {
    let expected = || {
        vec![
            column("tip", ColumnType::Number),
            column("id", ColumnType::Integer),
        ]
    };
    let refused = "column \"tip\": the file has no such column; it has \"id\", \"fare\", \"flag\"";
    assert_eq!(mismatch(trips(), &options(expected())), refused);

    let nulls = |columns| {
        with(options(columns), |schema| {
            schema.on_missing_column = OnMissingColumn::Null;
        })
    };
    let mut explicit = nulls(expected());
    explicit.json.nulls = Nulls::Explicit;
    let rows = convert(trips(), &explicit).unwrap();
    let first = "{\"id\":1,\"fare\":8.5,\"flag\":\"N\",\"tip\":null}";
    assert_eq!(rows.lines().next(), Some(first));
    let plain = convert(trips(), &Options::default()).unwrap();
    assert_eq!(convert(trips(), &nulls(expected())).unwrap(), plain);

    let is_required = nulls(vec![required("tip", ColumnType::Number)]);
    assert_eq!(mismatch(trips(), &is_required), refused);
}

#[test]
fn an_extra_column_is_kept_dropped_or_refused() {
    let extra = |on_extra| {
        with(
            options(vec![column("fare", ColumnType::Number)]),
            |schema| {
                schema.on_extra_column = on_extra;
            },
        )
    };
    let kept = convert(trips(), &extra(OnExtraColumn::Keep)).unwrap();
    assert_eq!(kept, convert(trips(), &Options::default()).unwrap());
    let dropped = convert(trips(), &extra(OnExtraColumn::Drop)).unwrap();
    assert_eq!(
        dropped,
        "{\"fare\":8.5}\n{\"fare\":-1.0}\n{\"fare\":\"NaN\"}\n{\"fare\":3.0}\n"
    );
    assert_eq!(
        mismatch(trips(), &extra(OnExtraColumn::Fail)),
        "column \"id\": the schema does not expect this column; unexpected are \"id\", \"flag\""
    );
}

#[test]
fn all_columns_may_be_dropped_and_nulls_stand_in_for_them() {
    let mut none = with(options(vec![column("x", ColumnType::List)]), |schema| {
        schema.on_missing_column = OnMissingColumn::Null;
        schema.on_extra_column = OnExtraColumn::Drop;
    });
    assert_eq!(convert(trips(), &none).unwrap(), "{}\n".repeat(4));
    none.json.nulls = Nulls::Explicit;
    assert_eq!(convert(trips(), &none).unwrap(), "{\"x\":null}\n".repeat(4));
}

#[test]
fn the_schema_comes_before_the_transform() {
    let mut chosen = with(options(vec![column("tip", ColumnType::Number)]), |schema| {
        schema.on_missing_column = OnMissingColumn::Null;
        schema.on_extra_column = OnExtraColumn::Drop;
    });
    chosen.json.nulls = Nulls::Explicit;
    chosen.transform.columns = vec!["tip".to_owned()];
    assert_eq!(
        convert(trips(), &chosen).unwrap(),
        "{\"tip\":null}\n".repeat(4)
    );
    chosen.transform.columns.push("id".to_owned());
    assert_eq!(
        mismatch(trips(), &chosen),
        "column \"id\": there is no such column to write; there are \"tip\""
    );
}

#[test]
fn an_invalid_record_fails_with_row_column_and_rule_and_without_the_value() {
    let fares = options(vec![bounded("fare", ColumnType::Number, "0", "")]);
    assert_eq!(
        invalid(trips(), &fares),
        "row 2, column \"fare\": the value is less than the minimum 0"
    );
    let fares = options(vec![bounded("fare", ColumnType::Number, "", "5.25")]);
    assert_eq!(
        invalid(trips(), &fares),
        "row 1, column \"fare\": the value is greater than the maximum 5.25"
    );
    let fares = options(vec![bounded("fare", ColumnType::Number, "-1", "8.5")]);
    assert_eq!(
        invalid(trips(), &fares),
        "row 3, column \"fare\": the value is NaN and the column has bounds"
    );
    let ids = options(vec![required("id", ColumnType::Integer)]);
    assert_eq!(
        invalid(trips(), &ids),
        "row 4, column \"id\": the value is null and the column is required"
    );
    let flags = options(vec![bounded("flag", ColumnType::String, "", "2")]);
    assert_eq!(
        invalid(trips(), &flags),
        "row 4, column \"flag\": the value is longer than 2 characters"
    );
    let flags = options(vec![bounded("flag", ColumnType::String, "2", "3")]);
    assert_eq!(
        invalid(trips(), &flags),
        "row 1, column \"flag\": the value is shorter than 2 characters"
    );
}

#[test]
fn nulls_are_within_any_bounds() {
    let ids = options(vec![bounded("id", ColumnType::Integer, "1", "3")]);
    assert!(convert(trips(), &ids).is_ok());
}

/// Bounds that hold the middle of three values only.
#[test]
fn every_type_is_held_against_its_own_unit() {
    use ColumnType::{Date, Integer, Number, Timestamp};
    let decimal = |value: i64| value.to_be_bytes().to_vec();
    let wide = |value: i64| [vec![0; 13], value.to_be_bytes().to_vec()].concat();
    let half = |bits: u16| bits.to_le_bytes().to_vec();
    for (declaration, stored, kind, min, max) in [
        (
            "int32 v (INTEGER(8,true))",
            Stored::I32(vec![-2, 1, 3]),
            Integer,
            "-1",
            "2",
        ),
        (
            "int32 v (INTEGER(16,true))",
            Stored::I32(vec![-2, 1, 3]),
            Integer,
            "-1",
            "2",
        ),
        (
            "int32 v",
            Stored::I32(vec![i32::MIN, 1, i32::MAX]),
            Integer,
            "-2147483647",
            "2147483646",
        ),
        (
            "int64 v",
            Stored::I64(vec![i64::MIN, 1, i64::MAX]),
            Integer,
            "-9223372036854775807",
            "9223372036854775806",
        ),
        (
            "int32 v (INTEGER(8,false))",
            Stored::I32(vec![0, 1, 3]),
            Integer,
            "1",
            "2",
        ),
        (
            "int32 v (INTEGER(16,false))",
            Stored::I32(vec![0, 1, 3]),
            Number,
            "0.1",
            "2.9",
        ),
        (
            "int32 v (INTEGER(32,false))",
            Stored::I32(vec![0, 1, -1]),
            Integer,
            "1",
            "4294967294",
        ),
        (
            "int64 v (INTEGER(64,false))",
            Stored::I64(vec![0, 1, -1]),
            Integer,
            "1",
            "18446744073709551614",
        ),
        (
            "float v",
            Stored::F32(vec![0.0, 0.1, 0.2]),
            Number,
            "0.1",
            "0.1",
        ),
        (
            "double v",
            Stored::F64(vec![0.0, 0.1, f64::INFINITY]),
            Number,
            "0.1",
            "0.1",
        ),
        (
            "fixed_len_byte_array(2) v (FLOAT16)",
            Stored::Fixed(vec![half(0x0000), half(0x3e00), half(0x7c00)]),
            Number,
            "1.5",
            "1.5",
        ),
        (
            "int32 v (DECIMAL(9,2))",
            Stored::I32(vec![149, 150, 151]),
            Number,
            "1.5",
            "1.50",
        ),
        (
            "int64 v (DECIMAL(18,4))",
            Stored::I64(vec![14_999, 15_000, 15_002]),
            Number,
            "1.49995",
            "1.50015",
        ),
        (
            "binary v (DECIMAL(20,1))",
            Stored::Bytes(vec![decimal(14), decimal(15), decimal(16)]),
            Number,
            "1.401",
            "1.599",
        ),
        (
            "fixed_len_byte_array(21) v (DECIMAL(50,2))",
            Stored::Fixed(vec![wide(149), wide(150), wide(151)]),
            Number,
            "1.5",
            "1.5",
        ),
        (
            "int32 v (DATE)",
            Stored::I32(vec![18_627, 18_628, 18_629]),
            Date,
            "2021-01-01",
            "2021-01-01",
        ),
        (
            "int64 v (TIMESTAMP(MILLIS,true))",
            Stored::I64(vec![-2, -1, 1]),
            Timestamp,
            "1969-12-31T23:59:59.9985Z",
            "1970-01-01T00:00:00.0005Z",
        ),
        (
            "int64 v (TIMESTAMP(MICROS,false))",
            Stored::I64(vec![-1, 0, 1]),
            Timestamp,
            "1970-01-01T01:00:00+01:00",
            "1970-01-01T00:00:00Z",
        ),
        (
            "int64 v (TIMESTAMP(NANOS,true))",
            Stored::I64(vec![-1, 0, 1]),
            Timestamp,
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ),
        (
            "int96 v",
            Stored::I96(vec![(-1, 86_399_999_999_999), (0, 0), (0, 1)]),
            Timestamp,
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ),
    ] {
        let file = one_column(declaration, &stored);
        let inside = convert(file.clone(), &Options::default()).unwrap();
        let inside = inside.lines().nth(1).unwrap().to_owned() + "\n";
        let bounds = bounded("v", kind, min, max);
        let converted = all(file, &quarantining(vec![bounds]));
        assert_eq!(text(&converted.rows), inside, "{declaration}");
        let reasons: Vec<&str> = text(&converted.rejected).lines().collect();
        assert_eq!(reasons.len(), 2, "{declaration}");
        assert!(
            reasons[0].contains("\"row\":1,") && reasons[0].contains("less than the minimum"),
            "{declaration}"
        );
        assert!(
            reasons[1].contains("\"row\":3,") && reasons[1].contains("greater than the maximum"),
            "{declaration}"
        );
    }
}

#[test]
fn bounds_beyond_a_type_hold_everything_or_nothing() {
    let file = || {
        one_column(
            "int32 v (INTEGER(8,true))",
            &Stored::I32(vec![-128, 0, 127]),
        )
    };
    let rejected = |min: &str, max: &str| {
        let bounds = bounded("v", ColumnType::Integer, min, max);
        all(file(), &skipping(vec![bounds], 3)).summary.rejected
    };
    assert_eq!(rejected("-1000", "1000"), 0);
    assert_eq!(rejected("128", ""), 3);
    assert_eq!(rejected("", "-129"), 3);
    let most = "9".repeat(38);
    assert_eq!(rejected(&format!("-{most}"), &most), 0);
    assert_eq!(rejected(&most, ""), 3);
}

#[test]
fn skipped_rows_are_counted_and_left_out() {
    let fares = |most| skipping(vec![bounded("fare", ColumnType::Number, "0", "5")], most);
    let converted = all(trips(), &fares(3));
    assert_eq!(
        text(&converted.rows),
        "{\"fare\":3.0,\"flag\":\"\u{e4}\u{f6}\u{fc}\"}\n"
    );
    assert_eq!((converted.summary.rows, converted.summary.rejected), (1, 3));
    assert_eq!(converted.rejected, b"");
    assert_eq!(
        invalid(trips(), &fares(2)),
        "row 3, column \"fare\": the value is NaN and the column has bounds, \
         and 2 invalid records have been left out before, which is the limit"
    );
}

#[test]
fn quarantined_rows_say_where_they_come_from_and_why() {
    let mut options = quarantining(vec![
        bounded("fare", ColumnType::Number, "0", "5"),
        required("id", ColumnType::Integer),
    ]);
    let converted = all(trips(), &options);
    assert_eq!(text(&converted.rows), "");
    let line = |row, column, reason, record| {
        format!(
            "{{\"source\":\"s3://raw/a.parquet\",\"row\":{row},\"column\":\"{column}\",\
             \"reason\":\"{reason}\",\"record\":{record}}}\n"
        )
    };
    let high = "the value is greater than the maximum 5";
    let low = "the value is less than the minimum 0";
    let nan = "the value is NaN and the column has bounds";
    let null = "the value is null and the column is required";
    assert_eq!(
        text(&converted.rejected),
        line(1, "fare", high, r#"{"id":1,"fare":8.5,"flag":"N"}"#)
            + &line(2, "fare", low, r#"{"id":2,"fare":-1.0,"flag":"Y"}"#)
            + &line(3, "fare", nan, r#"{"id":3,"fare":"NaN","flag":"N"}"#)
            + &line(
                4,
                "id",
                null,
                "{\"fare\":3.0,\"flag\":\"\u{e4}\u{f6}\u{fc}\"}"
            ),
    );
    options.json = JsonOptions {
        nulls: Nulls::Explicit,
        non_finite: NonFinite::Null,
        ..JsonOptions::default()
    };
    let lines = all(trips(), &options).rejected;
    assert!(
        text(&lines).contains(r#"{"id":null,"fare":3.0,"#),
        "{}",
        text(&lines)
    );
    assert!(
        text(&lines).contains(r#"{"id":3,"fare":null,"#),
        "{}",
        text(&lines)
    );
}

#[test]
fn a_rule_on_a_column_that_is_not_written_holds_and_shows_its_value() {
    let mut options = quarantining(vec![
        bounded("fare", ColumnType::Number, "0", ""),
        column("id", ColumnType::Integer),
    ]);
    options.transform.columns = vec!["flag".to_owned()];
    let converted = all(trips(), &options);
    assert_eq!(
        text(&converted.rows),
        "{\"flag\":\"N\"}\n{\"flag\":\"\u{e4}\u{f6}\u{fc}\"}\n"
    );
    let records: Vec<&str> = text(&converted.rejected)
        .lines()
        .map(|line| line.split_once("\"record\":").unwrap().1)
        .collect();
    assert_eq!(
        records,
        [
            r#"{"flag":"Y","fare":-1.0}}"#,
            r#"{"flag":"N","fare":"NaN"}}"#
        ]
    );
}

#[test]
fn a_value_that_would_fail_the_output_may_be_rejected_instead() {
    let mut options = quarantining(vec![bounded("fare", ColumnType::Number, "-1", "")]);
    options.json.non_finite = NonFinite::Fail;
    let converted = all(trips(), &options);
    assert_eq!((converted.summary.rows, converted.summary.rejected), (3, 1));
    assert!(text(&converted.rejected).contains(r#""fare":"NaN""#));
}

#[test]
fn an_array_stays_well_formed_whichever_rows_are_left_out() {
    let numbers = |range: std::ops::Range<i32>| {
        RecordBatch::try_from_iter([("v", ints(range.collect::<Vec<_>>()))]).unwrap()
    };
    // Three row groups, so that whole batches are rejected.
    let file = Bytes::from(write(&[numbers(0..3), numbers(3..6), numbers(6..9)]));
    for (min, max, expected) in [
        ("0", "8", "[0,1,2,3,4,5,6,7,8]"),
        ("1", "", "[1,2,3,4,5,6,7,8]"),
        ("3", "", "[3,4,5,6,7,8]"),
        ("4", "", "[4,5,6,7,8]"),
        ("", "5", "[0,1,2,3,4,5]"),
        ("8", "", "[8]"),
        ("9", "", "[]"),
    ] {
        let mut options = skipping(vec![bounded("v", ColumnType::Integer, min, max)], 9);
        options.format = Format::JsonArray;
        let rows: Vec<serde_json::Value> =
            serde_json::from_slice(&all(file.clone(), &options).rows).unwrap();
        let values: Vec<String> = rows.iter().map(|row| row["v"].to_string()).collect();
        assert_eq!(format!("[{}]", values.join(",")), expected);
    }
}

/// 20,000 rows in several row groups, every third of them invalid.
fn many() -> Bytes {
    let batches: Vec<RecordBatch> = (0..5_i64)
        .map(|part| {
            let ids = (part * 4000..part * 4000 + 4000).collect::<Vec<_>>();
            let names = ids.iter().map(|id| format!("name of {id}"));
            RecordBatch::try_from_iter([
                (
                    "name",
                    Arc::new(StringArray::from_iter_values(names)) as ArrayRef,
                ),
                (
                    "bad",
                    Arc::new(BooleanArray::from_iter(
                        ids.iter().map(|id| (id % 3 > 0).then_some(false)),
                    )),
                ),
                ("id", Arc::new(Int64Array::from(ids))),
            ])
            .unwrap()
        })
        .collect();
    write(&batches).into()
}

#[test]
fn order_counts_and_row_numbers_do_not_depend_on_threads() {
    let options = quarantining(vec![required("bad", ColumnType::Boolean)]);
    let by = |threads| {
        let budget = Budget { threads, ..BUDGET };
        convert_and_reject(many(), &options, &budget).unwrap()
    };
    let one = by(1);
    assert_eq!((one.summary.rows, one.summary.rejected), (13_333, 6_667));
    for (line, expected) in text(&one.rejected).lines().zip((0..).step_by(3)) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["record"]["id"], expected);
        assert_eq!(line["row"], expected + 1);
    }
    assert_eq!(one, by(2));
    assert_eq!(one, by(4));
}

#[test]
fn the_record_that_is_one_too_many_is_the_same_for_any_number_of_threads() {
    let options = skipping(vec![required("bad", ColumnType::Boolean)], 3000);
    for threads in [1, 2, 4] {
        let budget = Budget { threads, ..BUDGET };
        let error = convert_and_reject(many(), &options, &budget).unwrap_err();
        let Error::InvalidRecords { row, limit, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!((row, limit), (9001, Some(3000)));
    }
}

#[test]
fn row_numbers_of_a_part_are_those_of_the_file() {
    let options = quarantining(vec![required("bad", ColumnType::Boolean)]);
    let conversion = Conversion::open(Arc::new(many()), &options, &BUDGET).unwrap();
    let part = conversion.only_row_groups(2..4).unwrap();
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    let summary = part
        .convert(etl_engine::Outputs {
            rows: &mut rows,
            rejected: Some(&mut rejected),
        })
        .unwrap();
    assert_eq!(summary.rows + summary.rejected, 8000);
    let whole = convert_and_reject(many(), &options, &BUDGET).unwrap();
    let within = |line: &&str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (8001..=16_000).contains(&line["row"].as_u64().unwrap())
    };
    let expected: Vec<&str> = text(&whole.rejected).lines().filter(within).collect();
    assert_eq!(text(&rejected).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn kept_rows_need_a_sink() {
    let options = quarantining(vec![required("id", ColumnType::Integer)]);
    let conversion = Conversion::open(Arc::new(Bytes::from(trips())), &options, &BUDGET).unwrap();
    let mut rows = Vec::new();
    let error = conversion.convert(&mut rows).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(rows.is_empty());
}

#[test]
fn nested_columns_can_be_required() {
    let mut lists = ListBuilder::new(StringBuilder::new());
    lists.append_value([Some("a")]);
    lists.append_null();
    lists.append_value([None::<&str>; 0]);
    let batch = RecordBatch::try_from_iter([("l", Arc::new(lists.finish()) as ArrayRef)]);
    let file = write(&[batch.unwrap()]);
    let converted = all(file, &quarantining(vec![required("l", ColumnType::List)]));
    assert_eq!(text(&converted.rows), "{\"l\":[\"a\"]}\n{\"l\":[]}\n");
    assert!(text(&converted.rejected).contains("\"row\":2,"));
}

#[test]
fn a_schema_without_rules_and_an_empty_transform_change_nothing() {
    let options = Options {
        transform: Transform::default(),
        ..skipping(vec![column("id", ColumnType::Integer)], 1)
    };
    let converted = all(trips(), &options);
    assert_eq!(
        text(&converted.rows),
        convert(trips(), &Options::default()).unwrap()
    );
    assert_eq!(converted.summary.rejected, 0);
}
