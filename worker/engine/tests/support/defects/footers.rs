//! Defects in footers and around them.

use parquet::basic::Compression;

use super::super::dissect::fields::{self, chunk, element, meta, row_group};
use super::super::dissect::{Dissected, with_footer};
use super::super::mutate::regions;
use super::super::thrift::{Value, binary, i32, i64, structure, structures};
use super::super::{Levels, Stored, write_leaves_with};
use super::{Defect, footer_of, sound};

const CODEC_LZO: i64 = 3;
const OPTIONAL: i64 = 1;
const INT64: i64 = 2;
const FIXED_LEN_BYTE_ARRAY: i64 = 7;

/// What stands around the footer, and the footer's encoding.
pub(super) fn envelopes() -> Vec<Defect> {
    let file = sound();
    let end = file.len();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let length = u32::from_le_bytes(file[end - 8..end - 4].try_into().unwrap());
    let nested = [&[0x1c; 20_000][..], &[0; 20_001]].concat();
    vec![
        ("empty", Vec::new()),
        ("eleven-bytes", file[..11].to_vec()),
        ("json", b"{\"this\": \"is not parquet\"}\n".to_vec()),
        ("truncated-upload", file[..end / 2].to_vec()),
        ("magic-missing-at-start", with(0, b"XXXX")),
        ("magic-missing-at-end", with(end - 4, b"XXXX")),
        ("footer-encrypted", with(end - 4, b"PARE")),
        ("footer-length-beyond-file", with(end - 8, &[0xff; 4])),
        ("footer-length-zero", with(end - 8, &[0; 4])),
        (
            "footer-length-too-short",
            with(end - 8, &(length - 5).to_le_bytes()),
        ),
        ("footer-of-ones", with_footer(&file[..100], &[0xff; 64])),
        ("footer-nested-deeply", with_footer(&file[..100], &nested)),
        (
            "footer-says-that-columns-are-encrypted",
            footer_of(&file, |file| {
                let algorithm = structure([(1, structure([]))]);
                file.footer.set(8, algorithm);
            }),
        ),
    ]
}

fn group(name: impl Into<Vec<u8>>, children: i64) -> Value {
    structure([
        (element::REPETITION, i32(OPTIONAL)),
        (element::NAME, binary(name)),
        (element::NUM_CHILDREN, i32(children)),
    ])
}

fn leaf(name: impl Into<Vec<u8>>) -> Value {
    structure([
        (element::TYPE, i32(INT64)),
        (element::REPETITION, i32(OPTIONAL)),
        (element::NAME, binary(name)),
    ])
}

/// A footer without rows whose schema has these elements below the root.
fn schema(children: i64, elements: impl IntoIterator<Item = Value>) -> Vec<u8> {
    let mut footer = Dissected::new(&sound()).footer;
    let mut root = group("m", children);
    root.remove(element::REPETITION);
    let elements = std::iter::once(root).chain(elements);
    footer.set(fields::SCHEMA, structures(elements));
    footer.set(fields::NUM_ROWS, i64(0));
    footer.set(fields::ROW_GROUPS, structures([]));
    // What Arrow's own schema and orders of columns say is of no interest here.
    footer.remove(5);
    footer.remove(7);
    with_footer(b"PAR1", &footer.to_bytes())
}

pub(super) fn schemas() -> Vec<Defect> {
    let edit =
        |edit: fn(&mut Value)| footer_of(&sound(), |file| edit(file.footer.field(fields::SCHEMA)));
    let deep = (0..2000).map(|_| group("g", 1)).chain([leaf("v")]);
    // Every leaf has a path with all names above it.
    let long_paths = (0..100)
        .map(|level| group([b'a'; 400], if level < 99 { 1 } else { 4000 }))
        .chain((0..4000).map(|number| leaf(format!("{number}"))));
    vec![
        ("schema-empty", edit(|schema| schema.items().clear())),
        (
            "schema-missing",
            footer_of(&sound(), |file| {
                file.footer.remove(fields::SCHEMA);
            }),
        ),
        ("schema-2000-levels-deep", schema(1, deep)),
        ("schema-with-long-paths", schema(1, long_paths)),
        (
            "schema-claims-2147483647-columns",
            schema(i64::from(i32::MAX), [leaf("v")]),
        ),
        ("schema-claims-minus-one-columns", schema(-1, [leaf("v")])),
        (
            "schema-with-more-elements-than-columns",
            schema(1, [leaf("v"), leaf("w")]),
        ),
        (
            "schema-with-a-column-that-has-no-type",
            edit(|schema| schema.item(1).remove(element::TYPE)),
        ),
        (
            "schema-with-a-name-that-is-not-utf8",
            schema(1, [leaf([b'v', 0xff])]),
        ),
        (
            "schema-with-one-name-twice",
            schema(2, [leaf("v"), leaf("v")]),
        ),
        (
            "schema-with-an-unknown-type",
            edit(|schema| schema.item(1).set(element::TYPE, i32(99))),
        ),
        (
            "schema-with-a-fixed-length-of-minus-one",
            edit(|schema| {
                schema.item(1).set(element::TYPE, i32(FIXED_LEN_BYTE_ARRAY));
                schema.item(1).set(element::TYPE_LENGTH, i32(-1));
            }),
        ),
    ]
}

pub(super) fn row_groups() -> Vec<Defect> {
    let of_group = |edit: fn(&mut Value)| footer_of(&sound(), |file| edit(file.row_group()));
    let of_chunk = |edit: fn(&mut Value)| footer_of(&sound(), |file| edit(file.chunk()));
    let of_meta = |edit: fn(&mut Value)| footer_of(&sound(), |file| edit(file.meta()));
    vec![
        (
            "rows-negative",
            of_group(|group| group.set(row_group::NUM_ROWS, i64(-1))),
        ),
        (
            "rows-of-the-file-differ",
            footer_of(&sound(), |file| file.footer.set(fields::NUM_ROWS, i64(11))),
        ),
        (
            "rows-overflow",
            footer_of(&sound(), |file| {
                let mut group = file.row_group().clone();
                group.set(row_group::NUM_ROWS, i64(i64::MAX));
                file.footer.field(fields::ROW_GROUPS).items().push(group);
            }),
        ),
        (
            "row-group-without-columns",
            of_group(|group| group.set(row_group::COLUMNS, structures([]))),
        ),
        (
            "chunk-missing-metadata",
            of_chunk(|chunk| chunk.remove(chunk::META_DATA)),
        ),
        (
            "chunk-in-another-file",
            of_chunk(|chunk| chunk.set(chunk::FILE_PATH, binary("part-2.parquet"))),
        ),
        (
            "chunk-beyond-the-file",
            of_meta(|meta| meta.set(meta::TOTAL_COMPRESSED_SIZE, i64(1 << 40))),
        ),
        (
            "chunk-overflows",
            of_meta(|meta| meta.set(meta::TOTAL_COMPRESSED_SIZE, i64(i64::MAX))),
        ),
        (
            "chunk-of-negative-size",
            of_meta(|meta| meta.set(meta::TOTAL_COMPRESSED_SIZE, i64(-1))),
        ),
        (
            "chunk-of-negative-uncompressed-size",
            of_meta(|meta| meta.set(meta::TOTAL_UNCOMPRESSED_SIZE, i64(-1))),
        ),
        (
            "chunk-at-a-negative-offset",
            of_meta(|meta| meta.set(meta::DICTIONARY_PAGE_OFFSET, i64(-5))),
        ),
        (
            "chunk-in-the-footer",
            of_meta(|meta| meta.set(meta::DICTIONARY_PAGE_OFFSET, i64(150))),
        ),
        (
            "chunk-of-no-bytes",
            of_meta(|meta| meta.set(meta::TOTAL_COMPRESSED_SIZE, i64(0))),
        ),
        (
            "chunk-with-fewer-values-than-rows",
            of_meta(|meta| meta.set(meta::NUM_VALUES, i64(9))),
        ),
        (
            "chunk-with-an-unsupported-codec",
            of_meta(|meta| meta.set(meta::CODEC, i32(CODEC_LZO))),
        ),
        (
            "chunk-with-an-unknown-codec",
            of_meta(|meta| meta.set(meta::CODEC, i32(99))),
        ),
        ("chunks-that-overlap", overlapping()),
    ]
}

/// Two columns, the second of which lies upon the first.
fn overlapping() -> Vec<u8> {
    let leaf = || (Stored::I64((0..10).collect()), Levels::default());
    let file = write_leaves_with(
        "message m { required int64 v; required int64 w; }",
        &[leaf(), leaf()],
        Compression::UNCOMPRESSED,
    );
    let (pages, footer) = regions(&file);
    let mut footer = Value::read(&mut &file[footer]);
    let chunks = footer
        .field(fields::ROW_GROUPS)
        .item(0)
        .field(row_group::COLUMNS);
    let first = chunks.item(0).field(chunk::META_DATA).clone();
    let second = chunks.item(1).field(chunk::META_DATA);
    for field in [meta::DATA_PAGE_OFFSET, meta::DICTIONARY_PAGE_OFFSET] {
        second.set(field, first.clone().field(field).clone());
    }
    with_footer(&file[..pages.end], &footer.to_bytes())
}
