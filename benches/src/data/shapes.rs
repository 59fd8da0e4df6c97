//! What the generated tables look like.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, ListArray, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use fastrand::Rng;

use super::table::Table;

/// 2026-01-01T00:00:00 in microseconds.
const NEW_YEAR: i64 = 1_767_225_600_000_000;

/// Order lines: keys, amounts, flags, dates, a comment. The benchmark of
/// databases that everybody knows has this table.
pub(super) fn mixed(table: &mut Table) {
    const INSTRUCTIONS: &[&str] = &[
        "DELIVER IN PERSON",
        "COLLECT COD",
        "NONE",
        "TAKE BACK RETURN",
    ];
    const MODES: &[&str] = &["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"];
    let mut order = table.rng.i64(0..6_000_000);
    table.longs("l_orderkey", |rng| {
        order += rng.i64(0..2);
        order
    });
    table.longs("l_partkey", |rng| rng.i64(1..200_000));
    table.longs("l_suppkey", |rng| rng.i64(1..10_000));
    table.ints("l_linenumber", |rng| Some(rng.i32(1..8)));
    table.doubles("l_quantity", |rng| f64::from(rng.i32(1..51)));
    table.doubles("l_extendedprice", |rng| cents(rng, 90_000..10_000_000));
    table.doubles("l_discount", |rng| cents(rng, 0..11));
    table.doubles("l_tax", |rng| cents(rng, 0..9));
    table.texts("l_returnflag", |rng| one_of(rng, &["A", "N", "R"]));
    table.texts("l_linestatus", |rng| one_of(rng, &["O", "F"]));
    table.dates("l_shipdate", |rng| rng.i32(8_036..10_560));
    table.dates("l_commitdate", |rng| rng.i32(8_036..10_560));
    table.dates("l_receiptdate", |rng| rng.i32(8_036..10_560));
    table.texts("l_shipinstruct", |rng| one_of(rng, INSTRUCTIONS));
    table.texts("l_shipmode", |rng| one_of(rng, MODES));
    table.texts("l_comment", |rng| {
        let bytes = rng.usize(10..35);
        words(rng, bytes)
    });
}

/// Web events: identifiers, times, addresses, and nulls.
pub(super) fn events(table: &mut Table) {
    const TYPES: &[&str] = &["page_view", "click", "purchase", "scroll", "sign_up"];
    const COUNTRIES: &[&str] = &["DE", "US", "FR", "JP", "BR", "IN"];
    let mut now = NEW_YEAR + table.rng.i64(0..10_000_000_000_000);
    table.texts("event_id", uuid);
    table.times("event_time", |rng| {
        now += rng.i64(1..20_000);
        now
    });
    table.texts("event_type", |rng| one_of(rng, TYPES));
    table.longs("user_id", |rng| rng.i64(1..50_000_000));
    table.texts("session", |rng| hex(rng, 32));
    table.texts("url", url);
    table.some_texts("referrer", |rng| (rng.u8(..10) < 4).then(|| url(rng)));
    table.texts("country", |rng| one_of(rng, COUNTRIES));
    table.ints("duration_ms", |rng| {
        (rng.u8(..10) < 8).then(|| rng.i32(0..60_000))
    });
    table.floats("score", Rng::f32);
    table.booleans("is_bot", |rng| rng.u8(..20) == 0);
    table.texts("ip", |rng| {
        let [a, b, c, d] = rng.u32(..).to_be_bytes();
        format!("{a}.{b}.{c}.{d}")
    });
    table.times("received_at", |rng| {
        NEW_YEAR + rng.i64(0..20_000_000_000_000)
    });
}

/// Integers and floats of every length.
pub(super) fn numbers(table: &mut Table) {
    for (index, shift) in [0, 8, 24, 32, 40, 48, 56, 60].into_iter().enumerate() {
        table.longs(format!("i{index}"), |rng| rng.i64(..) >> shift);
    }
    for index in 0..8 {
        let name = format!("f{index}");
        match index % 4 {
            0 => table.doubles(name, Rng::f64),
            1 => table.doubles(name, |rng| (rng.f64() - 0.5) * 1e6),
            2 => table.doubles(name, |rng| cents(rng, 0..100_000_000)),
            _ => table.doubles(name, |rng| f64::from(rng.i32(0..1_000)) / 4.0),
        }
    }
}

/// Free text with an escape here and there.
pub(super) fn text(table: &mut Table) {
    for (name, bytes) in [
        ("title", 40),
        ("summary", 140),
        ("body", 220),
        ("comment", 100),
    ] {
        table.texts(name, |rng| words(rng, bytes));
    }
}

/// Orders: a struct, a list of structs, a list of numbers.
///
/// Neither maps, which every engine writes in a form of its own, nor null lists
/// and null structs, which not every engine can hold.
pub(super) fn nested(table: &mut Table) {
    let rows = table.rows;
    table.longs("id", |rng| rng.i64(0..1_000_000_000));
    let buyers = buyer(table.rng, rows);
    table.add("buyer", Arc::new(buyers));
    let offsets = lengths(table.rng, rows, 5);
    let items: ArrayRef = Arc::new(item(table.rng, last(&offsets)));
    table.add("items", list(items, offsets));
    let offsets = lengths(table.rng, rows, 4);
    let rng = &mut *table.rng;
    let scores: Float64Array = (0..last(&offsets)).map(|_| Some(rng.f64())).collect();
    table.add("scores", list(Arc::new(scores), offsets));
    table.times("ordered_at", |rng| {
        NEW_YEAR + rng.i64(0..20_000_000_000_000)
    });
}

/// A thousand columns of three types, each kind with its own range.
pub(super) fn wide(table: &mut Table) {
    columns(table, 1_000);
}

/// `count` columns of integers, floats and short texts by turns.
pub(super) fn columns(table: &mut Table, count: usize) {
    for index in 0..count {
        let name = format!("column_{index}");
        match index % 3 {
            0 => table.longs(name, |rng| rng.i64(0..1_000_000)),
            1 => table.doubles(name, |rng| cents(rng, 0..1_000_000)),
            _ => table.texts(name, |rng| hex(rng, 8)),
        }
    }
}

/// One column of texts of `bytes` bytes that need no escape.
pub(super) fn text_of_length(table: &mut Table, bytes: usize) {
    table.texts("value", |rng| {
        (0..bytes).map(|_| rng.alphanumeric()).collect()
    });
}

fn buyer(rng: &mut Rng, rows: usize) -> StructArray {
    let name: ArrayRef = Arc::new(
        (0..rows)
            .map(|_| Some(words(rng, 12)))
            .collect::<StringArray>(),
    );
    let city: ArrayRef = Arc::new(
        (0..rows)
            .map(|_| Some(one_of(rng, &["Berlin", "Lyon", "Osaka", "Recife"])))
            .collect::<StringArray>(),
    );
    let age: ArrayRef = Arc::new(
        (0..rows)
            .map(|_| (rng.u8(..4) > 0).then(|| rng.i32(18..99)))
            .collect::<Int32Array>(),
    );
    structs(vec![("name", name), ("city", city), ("age", age)])
}

fn item(rng: &mut Rng, length: usize) -> StructArray {
    let sku: ArrayRef = Arc::new(
        (0..length)
            .map(|_| Some(hex(rng, 8)))
            .collect::<StringArray>(),
    );
    let count: ArrayRef = Arc::new(
        (0..length)
            .map(|_| Some(rng.i32(1..20)))
            .collect::<Int32Array>(),
    );
    let price: ArrayRef = Arc::new(
        (0..length)
            .map(|_| Some(cents(rng, 100..100_000)))
            .collect::<Float64Array>(),
    );
    structs(vec![("sku", sku), ("count", count), ("price", price)])
}

fn structs(fields: Vec<(&str, ArrayRef)>) -> StructArray {
    let field = |(name, array): (&str, ArrayRef)| {
        let field = Field::new(name, array.data_type().clone(), true);
        (Arc::new(field), array)
    };
    StructArray::from(fields.into_iter().map(field).collect::<Vec<_>>())
}

fn list(values: ArrayRef, offsets: OffsetBuffer<i32>) -> ArrayRef {
    let element = Field::new(Field::LIST_FIELD_DEFAULT_NAME, data_type(&values), true);
    Arc::new(ListArray::new(Arc::new(element), offsets, values, None))
}

fn data_type(values: &ArrayRef) -> DataType {
    values.data_type().clone()
}

/// Lists of 0 to `limit - 1` elements.
fn lengths(rng: &mut Rng, rows: usize, limit: usize) -> OffsetBuffer<i32> {
    OffsetBuffer::from_lengths((0..rows).map(|_| rng.usize(..limit)))
}

fn last(offsets: &OffsetBuffer<i32>) -> usize {
    offsets.last() as usize
}

/// An amount with two decimal places.
fn cents(rng: &mut Rng, range: std::ops::Range<i32>) -> f64 {
    f64::from(rng.i32(range)) / 100.0
}

fn one_of(rng: &mut Rng, values: &[&str]) -> String {
    values[rng.usize(..values.len())].to_owned()
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

fn uuid(rng: &mut Rng) -> String {
    [8, 4, 4, 4, 12].map(|digits| hex(rng, digits)).join("-")
}

fn url(rng: &mut Rng) -> String {
    let product = rng.u32(..);
    format!("https://shop.example.com/p/{product}?ref={}", hex(rng, 8))
}

/// At least `bytes` bytes of words; one word in a hundred has quotes.
fn words(rng: &mut Rng, bytes: usize) -> String {
    const WORDS: &[&str] = &[
        "carefully",
        "final",
        "deposits",
        "sleep",
        "quickly",
        "ironic",
        "the",
        "among",
        "regular",
        "packages",
        "above",
        "even",
        "requests",
        "pinto",
        "beans",
        "accounts",
    ];
    let mut text = String::with_capacity(bytes + 16);
    while text.len() < bytes {
        let word = match rng.u8(..100) {
            0 => "\"bold\"",
            _ => WORDS[rng.usize(..WORDS.len())],
        };
        text.push_str(word);
        text.push(' ');
    }
    text.pop();
    text
}
