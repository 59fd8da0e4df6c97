//! Files with one defect each, made from sound ones. They are kept in
//! `tests/data/broken`, where other tests find them too.

#![allow(dead_code, reason = "each test binary uses its own part")]

mod bombs;
mod footers;
mod pages;

use parquet::basic::Compression;

use super::dissect::Dissected;
use super::{Levels, Stored, write_leaves_with};

/// The name of the file and its bytes.
pub(crate) type Defect = (&'static str, Vec<u8>);

pub(crate) fn all() -> Vec<Defect> {
    let mut all = footers::envelopes();
    all.extend(footers::schemas());
    all.extend(footers::row_groups());
    all.extend(pages::headers());
    all.extend(pages::bodies());
    all.extend(bombs::all());
    all
}

/// Ten different integers in a dictionary, uncompressed.
fn sound() -> Vec<u8> {
    let values = (0..10).map(|value| value * 3).collect();
    one("required int64 v", Stored::I64(values), Levels::default())
}

fn one(declaration: &str, values: Stored, levels: Levels) -> Vec<u8> {
    compressed(declaration, values, levels, Compression::UNCOMPRESSED)
}

fn compressed(declaration: &str, values: Stored, levels: Levels, by: Compression) -> Vec<u8> {
    write_leaves_with(
        &format!("message m {{ {declaration}; }}"),
        &[(values, levels)],
        by,
    )
}

/// Ten values, of which every other one is null.
fn sound_optional() -> Vec<u8> {
    let definition = Some((0..10).map(|row| row % 2).collect());
    let levels = Levels {
        definition,
        repetition: None,
    };
    one("optional int64 v", Stored::I64((0..5).collect()), levels)
}

fn sound_list() -> Vec<u8> {
    let levels = Levels {
        definition: Some(vec![1; 6]),
        repetition: Some(vec![0, 1, 1, 0, 1, 0]),
    };
    let declaration = "required group v (LIST) { repeated group list { required int32 element; } }";
    let schema = format!("message m {{ {declaration} }}");
    let leaves = [(Stored::I32((0..6).collect()), levels)];
    write_leaves_with(&schema, &leaves, Compression::UNCOMPRESSED)
}

fn sound_text() -> Vec<u8> {
    let values = (0..10).map(|row| format!("text {row}").into_bytes());
    one(
        "required binary v (STRING)",
        Stored::Bytes(values.collect()),
        Levels::default(),
    )
}

fn footer_of(file: &[u8], edit: impl FnOnce(&mut Dissected)) -> Vec<u8> {
    Dissected::new(file).assemble_with(edit)
}

fn pages_of(file: &[u8], edit: impl FnOnce(&mut Dissected)) -> Vec<u8> {
    let mut dissected = Dissected::new(file);
    edit(&mut dissected);
    dissected.assemble()
}
