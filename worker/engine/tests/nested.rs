//! Nulls, structs, lists and maps at any depth, and rows without columns.

#![allow(clippy::unwrap_used, reason = "a broken fixture should stop the test")]

mod support;

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Float64Builder, Int32Builder, Int64Builder, MapBuilder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use etl_engine::{JsonOptions, NonFinite, Nulls, Options};
use support::{Levels, Stored, convert, failure, lines, without_columns, write, write_leaves};

/// Rows given as JSON, stored with `schema`.
fn stored(fields: Vec<Field>, rows: &str) -> Vec<u8> {
    let schema = Arc::new(Schema::new(fields));
    let mut reader = arrow_json::ReaderBuilder::new(schema)
        .build(std::io::Cursor::new(rows))
        .unwrap();
    write(&[reader.next().unwrap().unwrap()])
}

fn explicit() -> Options {
    let json = JsonOptions {
        nulls: Nulls::Explicit,
        ..JsonOptions::default()
    };
    Options {
        json,
        ..Options::default()
    }
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", item, true)))
}

fn string_map(value: DataType) -> DataType {
    let key = Field::new("key", DataType::Utf8, false);
    let entry = DataType::Struct(vec![key, Field::new("value", value, true)].into());
    DataType::Map(Arc::new(Field::new("key_value", entry, false)), false)
}

#[test]
fn null_fields_are_left_out_unless_asked_for() {
    let fields = vec![
        Field::new("a", DataType::Int32, true),
        Field::new("b", DataType::Utf8, true),
        Field::new("c", DataType::Float64, true),
    ];
    let rows = "{\"a\":1}\n{\"b\":\"x\",\"c\":0.5}\n{}\n";
    let file = stored(fields, rows);
    assert_eq!(
        lines(file.clone()),
        [r#"{"a":1}"#, r#"{"b":"x","c":0.5}"#, "{}"]
    );
    assert_eq!(
        convert(file, &explicit()).unwrap(),
        concat!(
            "{\"a\":1,\"b\":null,\"c\":null}\n",
            "{\"a\":null,\"b\":\"x\",\"c\":0.5}\n",
            "{\"a\":null,\"b\":null,\"c\":null}\n",
        )
    );
}

#[test]
fn nulls_in_lists_and_map_values_are_always_kept() {
    let fields = vec![
        Field::new("l", list(DataType::Int64), true),
        Field::new("m", string_map(DataType::Int64), true),
    ];
    let rows = "{\"l\":[1,null,3],\"m\":{\"a\":null,\"b\":2}}\n{\"l\":[],\"m\":{}}\n{}\n";
    let file = stored(fields, rows);
    assert_eq!(
        lines(file.clone()),
        [
            r#"{"l":[1,null,3],"m":{"a":null,"b":2}}"#,
            r#"{"l":[],"m":{}}"#,
            "{}"
        ]
    );
    let text = convert(file, &explicit()).unwrap();
    assert!(text.ends_with("{\"l\":null,\"m\":null}\n"), "{text}");
}

#[test]
fn structs_lists_and_maps_nest() {
    let point = DataType::Struct(
        vec![
            Field::new("x", DataType::Int32, true),
            Field::new("tags", list(DataType::Utf8), true),
        ]
        .into(),
    );
    let fields = vec![
        Field::new("points", list(point.clone()), true),
        Field::new("byName", string_map(list(point)), true),
        Field::new("matrix", list(list(DataType::Int32)), true),
    ];
    let row = concat!(
        r#"{"points":[{"x":1,"tags":["a",null]},null,{"tags":[]}],"#,
        r#""byName":{"k":[{"x":2}],"n":null},"matrix":[[1,2],[],null,[null]]}"#,
    );
    assert_eq!(lines(stored(fields, row)), [row]);
}

#[test]
fn a_null_struct_is_not_an_empty_struct() {
    let inner = DataType::Struct(vec![Field::new("x", DataType::Int32, true)].into());
    let fields = vec![Field::new("s", inner, true)];
    let file = stored(fields, "{\"s\":{}}\n{}\n{\"s\":{\"x\":1}}\n");
    assert_eq!(
        lines(file.clone()),
        [r#"{"s":{}}"#, "{}", r#"{"s":{"x":1}}"#]
    );
    let text = convert(file, &explicit()).unwrap();
    assert_eq!(
        text,
        "{\"s\":{\"x\":null}}\n{\"s\":null}\n{\"s\":{\"x\":1}}\n"
    );
}

#[test]
fn columns_keep_their_order_and_odd_names() {
    let names = [
        "z",
        "a",
        "with \"quotes\"",
        "é",
        "",
        "a.b",
        "\\",
        "\n\u{1}\u{7f}",
        "😀",
        "a ",
        "A",
        "z.list.element",
    ];
    let fields = names
        .map(|name| Field::new(name, DataType::Int32, true))
        .to_vec();
    let row = concat!(
        r#"{"z":1,"a":2,"with \"quotes\"":3,"é":4,"":5,"a.b":6,"\\":7,"#,
        "\"\\n\\u0001\u{7f}\":8,",
        r#""😀":9,"a ":10,"A":11,"z.list.element":12}"#,
    );
    assert_eq!(lines(stored(fields, row)), [row]);
}

macro_rules! map_column {
    ($keys:expr, $($key:expr),+) => {{
        let mut map = MapBuilder::new(None, $keys, Int32Builder::new());
        $(map.keys().append_value($key); map.values().append_value(1);)+
        map.append(true).unwrap();
        Arc::new(map.finish()) as ArrayRef
    }};
}

#[test]
fn map_keys_become_strings_with_the_text_of_the_value() {
    let columns: Vec<(&str, ArrayRef, &str)> = vec![
        (
            "int",
            map_column!(Int64Builder::new(), -1, 20),
            r#"{"-1":1,"20":1}"#,
        ),
        (
            "bool",
            map_column!(BooleanBuilder::new(), true),
            r#"{"true":1}"#,
        ),
        (
            "date",
            map_column!(Date32Builder::new(), 20_780),
            r#"{"2026-11-23":1}"#,
        ),
        (
            "double",
            map_column!(Float64Builder::new(), 0.5, f64::NAN),
            r#"{"0.5":1,"NaN":1}"#,
        ),
        (
            "text",
            map_column!(StringBuilder::new(), "a\"b"),
            r#"{"a\"b":1}"#,
        ),
        (
            "time",
            map_column!(TimestampMicrosecondBuilder::new(), 1_609_461_010_000_000),
            r#"{"2021-01-01T00:30:10.000Z":1}"#,
        ),
        (
            "twice",
            map_column!(StringBuilder::new(), "k", "k"),
            r#"{"k":1,"k":1}"#,
        ),
    ];
    for (name, column, expected) in columns {
        let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
        assert_eq!(
            lines(write(&[batch])),
            [format!("{{\"v\":{expected}}}")],
            "{name}"
        );
    }
}

#[test]
fn a_nan_key_is_named_even_where_nan_values_become_null() {
    let column = map_column!(Float64Builder::new(), f64::NAN);
    let batch = RecordBatch::try_from_iter([("v", column)]).unwrap();
    let json = JsonOptions {
        non_finite: NonFinite::Null,
        ..JsonOptions::default()
    };
    let text = convert(
        write(&[batch]),
        &Options {
            json,
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(text, "{\"v\":{\"NaN\":1}}\n");
}

#[test]
fn a_null_map_key_is_bad_input() {
    let schema = "message m { optional group v (MAP) { repeated group key_value { \
                  optional binary key (STRING); optional int32 value; } } }";
    let keys = Levels {
        definition: Some(vec![3, 2]),
        repetition: Some(vec![0, 1]),
    };
    let values = Levels {
        definition: Some(vec![3, 3]),
        repetition: Some(vec![0, 1]),
    };
    let leaves = [
        (Stored::Bytes(vec![b"a".to_vec()]), keys),
        (Stored::I32(vec![1, 2]), values),
    ];
    let error = failure(write_leaves(schema, &leaves));
    assert_eq!(error.kind().as_str(), "BadInput", "{error}");
    assert!(error.to_string().contains("\"v"), "{error}");
}

#[test]
fn lists_in_the_older_forms_are_lists() {
    for schema in [
        "message m { repeated int32 v; }",
        "message m { required group v (LIST) { repeated int32 array; } }",
        "message m { required group v (LIST) { repeated group bag { required int32 e; } } }",
        "message m { required group v (LIST) { repeated int32 element; } }",
    ] {
        let levels = Levels {
            definition: Some(vec![1, 1, 0]),
            repetition: Some(vec![0, 1, 0]),
        };
        let file = write_leaves(schema, &[(Stored::I32(vec![1, 2]), levels)]);
        assert_eq!(lines(file), [r#"{"v":[1,2]}"#, r#"{"v":[]}"#], "{schema}");
    }
}

/// Lists whose elements are the repeated groups themselves.
#[test]
fn older_lists_of_structs_keep_the_struct() {
    for schema in [
        "message m { required group v (LIST) { repeated group array { required int32 a; } } }",
        "message m { required group v (LIST) { repeated group v_tuple { required int32 a; } } }",
        "message m { repeated group v { required int32 a; } }",
    ] {
        let levels = Levels {
            definition: Some(vec![1, 1, 0]),
            repetition: Some(vec![0, 1, 0]),
        };
        let file = write_leaves(schema, &[(Stored::I32(vec![1, 2]), levels)]);
        let rows = [r#"{"v":[{"a":1},{"a":2}]}"#, r#"{"v":[]}"#];
        assert_eq!(lines(file), rows, "{schema}");
    }
}

#[test]
fn maps_under_older_names_are_maps() {
    for schema in [
        "message m { required group v (MAP) { repeated group key_value { \
         required binary key (UTF8); optional int32 value; } } }",
        "message m { required group v (MAP) { repeated group map (MAP_KEY_VALUE) { \
         required binary key (UTF8); optional int32 value; } } }",
        "message m { required group v (MAP_KEY_VALUE) { repeated group map { \
         required binary key (UTF8); optional int32 value; } } }",
        "message m { required group v (MAP) { repeated group entries { \
         required binary k (UTF8); optional int32 v; } } }",
    ] {
        let levels = |definition: &[i16]| Levels {
            definition: Some(definition.to_vec()),
            repetition: Some(vec![0, 1, 0]),
        };
        let keys = Stored::Bytes(vec![b"a".to_vec(), b"b".to_vec()]);
        let leaves = [
            (keys, levels(&[1, 1, 0])),
            (Stored::I32(vec![1]), levels(&[2, 1, 0])),
        ];
        let rows = [r#"{"v":{"a":1,"b":null}}"#, r#"{"v":{}}"#];
        assert_eq!(lines(write_leaves(schema, &leaves)), rows, "{schema}");
    }
}

#[test]
fn int96_keeps_its_nanoseconds_inside_lists_structs_and_maps() {
    let schema = "message m {
        required int32 before;
        optional group l (LIST) { repeated group list { optional int96 element; } }
        required group s { optional int96 t; required boolean flag; }
        required group m (MAP) {
            repeated group key_value { required int96 key; optional int96 value; }
        }
        optional int96 plain;
    }";
    let far = (2_932_896, 86_399_999_999_999);
    let near = (18_628, 1_810_000_000_000);
    let levels = |definition: &[i16], repetition: &[i16]| Levels {
        definition: Some(definition.to_vec()),
        repetition: (!repetition.is_empty()).then(|| repetition.to_vec()),
    };
    let leaves = [
        (Stored::I32(vec![7]), Levels::default()),
        (Stored::I96(vec![near, far]), levels(&[3, 2, 3], &[0, 1, 1])),
        (Stored::I96(vec![far]), levels(&[1], &[])),
        (Stored::Bool(vec![true]), Levels::default()),
        (Stored::I96(vec![near]), levels(&[1], &[0])),
        (Stored::I96(vec![far]), levels(&[2], &[0])),
        (Stored::I96(vec![]), levels(&[0], &[])),
    ];
    let (near, far) = ("2021-01-01T00:30:10.000Z", "9999-12-31T23:59:59.999999999Z");
    let expected = format!(
        r#"{{"before":7,"l":["{near}",null,"{far}"],"s":{{"t":"{far}","flag":true}},"m":{{"{near}":"{far}"}}}}"#
    );
    assert_eq!(lines(write_leaves(schema, &leaves)), [expected]);
}

#[test]
fn an_always_null_column_is_null() {
    let schema = "message m { optional int32 v (UNKNOWN); required int32 w; }";
    let nulls = Levels {
        definition: Some(vec![0, 0]),
        repetition: None,
    };
    let leaves = [
        (Stored::I32(vec![]), nulls),
        (Stored::I32(vec![1, 2]), Levels::default()),
    ];
    let file = write_leaves(schema, &leaves);
    assert_eq!(lines(file.clone()), [r#"{"w":1}"#, r#"{"w":2}"#]);
    let text = convert(file, &explicit()).unwrap();
    assert_eq!(text, "{\"v\":null,\"w\":1}\n{\"v\":null,\"w\":2}\n");
}

#[test]
fn rows_without_columns_are_empty_objects() {
    assert_eq!(lines(without_columns(10_000)), vec!["{}"; 10_000]);
}
