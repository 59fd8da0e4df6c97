//! Files with one defect each, made from sound ones. They are kept in
//! `tests/data/broken`, where other tests find them too.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::Write;

use super::dissect::fields::{self, chunk, element, meta, page, row_group};
use super::dissect::{Dissected, Page, with_footer};
use super::thrift::{Value, binary, i32, i64, structure, structures};
use super::{Levels, Stored, write_leaves_with};
use parquet::basic::Compression;

/// The name of the file and its bytes.
pub(crate) type Defect = (&'static str, Vec<u8>);

pub(crate) fn all() -> Vec<Defect> {
    let mut all = envelopes();
    all.extend(schemas());
    all.extend(row_groups());
    all.extend(page_headers());
    all.extend(page_bodies());
    all.extend(bombs());
    all
}

const CODEC_LZO: i64 = 3;
const ENCODING_RLE: i64 = 3;
const ENCODING_DELTA_BINARY_PACKED: i64 = 5;
const ENCODING_DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
const ENCODING_DELTA_BYTE_ARRAY: i64 = 7;
const ENCODING_RLE_DICTIONARY: i64 = 8;
const OPTIONAL: i64 = 1;
const INT64: i64 = 2;
const FIXED_LEN_BYTE_ARRAY: i64 = 7;

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

/// What stands around the footer, and the footer's encoding.
fn envelopes() -> Vec<Defect> {
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

fn schemas() -> Vec<Defect> {
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

fn row_groups() -> Vec<Defect> {
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
    let (pages, footer) = super::mutate::regions(&file);
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

fn page_headers() -> Vec<Defect> {
    let header =
        |edit: fn(&mut Value)| pages_of(&sound(), |file| edit(&mut file.data_page().header));
    let dictionary = |edit: fn(&mut Value)| {
        pages_of(&sound(), |file| {
            edit(file.pages[0].header.field(page::DICTIONARY));
        })
    };
    let set = |id: i64, value: i64| move |header: &mut Value| header.set(id, i32(value));
    let page = |id: i64, value: i64| {
        pages_of(&sound(), |file| {
            set(id, value)(&mut file.data_page().header);
        })
    };
    vec![
        (
            "page-beyond-its-chunk",
            page(page::COMPRESSED_SIZE, 1 << 20),
        ),
        (
            "page-of-2-gib-beyond-its-chunk",
            page(page::COMPRESSED_SIZE, i64::from(i32::MAX)),
        ),
        ("page-of-negative-size", page(page::COMPRESSED_SIZE, -1)),
        (
            "page-of-negative-uncompressed-size",
            page(page::UNCOMPRESSED_SIZE, -1),
        ),
        ("page-of-an-unknown-type", page(page::TYPE, 99)),
        ("page-with-a-wrong-checksum", page(page::CRC, 12345)),
        (
            "page-without-its-own-header",
            header(|header| header.remove(page::DATA)),
        ),
        (
            "page-with-more-values-than-the-chunk",
            header(|header| header.field(page::DATA).set(page::NUM_VALUES, i32(11))),
        ),
        (
            "page-with-fewer-values-than-the-chunk",
            header(|header| header.field(page::DATA).set(page::NUM_VALUES, i32(9))),
        ),
        (
            "page-with-a-negative-number-of-values",
            header(|header| header.field(page::DATA).set(page::NUM_VALUES, i32(-10))),
        ),
        (
            "page-with-an-unknown-encoding",
            header(|header| header.field(page::DATA).set(page::ENCODING, i32(99))),
        ),
        (
            "page-with-an-encoding-of-other-types",
            header(|header| {
                header
                    .field(page::DATA)
                    .set(page::ENCODING, i32(ENCODING_RLE));
            }),
        ),
        (
            "dictionary-with-2147483647-values",
            dictionary(|header| header.set(page::NUM_VALUES, i32(i64::from(i32::MAX)))),
        ),
        (
            "dictionary-with-a-negative-number-of-values",
            dictionary(|header| header.set(page::NUM_VALUES, i32(-1))),
        ),
        (
            "dictionary-missing",
            pages_of(&sound(), |file| {
                file.pages.remove(0);
            }),
        ),
        (
            "dictionary-twice",
            pages_of(&sound(), |file| {
                let (header, body) = (file.pages[0].header.clone(), file.pages[0].body.clone());
                file.pages.insert(1, Page { header, body });
            }),
        ),
        (
            "data-page-missing",
            pages_of(&sound(), |file| file.pages.truncate(1)),
        ),
        ("page-v2-with-negative-level-lengths", v2(-4, 0)),
        ("page-v2-with-levels-beyond-the-page", v2(1 << 20, 0)),
        (
            "page-v2-with-level-lengths-that-overflow",
            v2(i64::from(i32::MAX), i64::from(i32::MAX)),
        ),
    ]
}

/// The data page of the optional column, as version 2 with these lengths.
fn v2(definition: i64, repetition: i64) -> Vec<u8> {
    pages_of(&sound_optional(), |file| {
        let page = file.data_page();
        page.header.remove(page::DATA);
        page.header.set(page::TYPE, i32(3));
        let header = structure([
            (page::NUM_VALUES, i32(10)),
            (2, i32(5)),
            (3, i32(10)),
            (4, i32(ENCODING_RLE_DICTIONARY)),
            (page::DEFINITION_BYTES, i32(definition)),
            (page::REPETITION_BYTES, i32(repetition)),
        ]);
        page.header.set(page::DATA_V2, header);
    })
}

/// A plain data page with another body, the dictionary left out.
fn body(file: &[u8], encoding: i64, body: &[u8]) -> Vec<u8> {
    pages_of(file, |file| {
        file.pages.retain(|page| !page.is_dictionary());
        let page = file.data_page();
        page.header
            .field(page::DATA)
            .set(page::ENCODING, i32(encoding));
        page.set_body(body.to_vec(), body.len());
    })
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// The head of a run of deltas: block size, blocks in it, values, first value.
fn deltas(block: u64, blocks: u64, values: u64, first: i64) -> Vec<u8> {
    let first = (first << 1 ^ first >> 63).cast_unsigned();
    [block, blocks, values, first].map(varint).concat()
}

/// `count` numbers, each `delta` more than the one before.
fn equal_deltas(count: usize, first: i64, delta: i64) -> Vec<u8> {
    let zigzag = (delta << 1 ^ delta >> 63).cast_unsigned();
    let block = [varint(zigzag), vec![0; 4]].concat();
    let blocks = (count - 1).div_ceil(128);
    [deltas(128, 4, count as u64, first), block.repeat(blocks)].concat()
}

fn page_bodies() -> Vec<Defect> {
    let lengths = |bytes: &[u8]| [&100_u32.to_le_bytes(), bytes].concat();
    let dictionary_indices = |bytes: &'static [u8]| {
        pages_of(&sound(), |file| {
            file.data_page().set_body(bytes.to_vec(), bytes.len());
        })
    };
    vec![
        ("plain-integers-cut-short", body(&sound(), 0, &[0; 79])),
        (
            "plain-text-longer-than-the-page",
            body(&sound_text(), 0, &lengths(b"short")),
        ),
        (
            "plain-text-of-negative-length",
            body(&sound_text(), 0, &[0xff; 40]),
        ),
        ("text-that-is-not-utf8", {
            let values = vec![vec![b'a', 0xff]; 10];
            one(
                "required binary v (STRING)",
                Stored::Bytes(values),
                Levels::default(),
            )
        }),
        (
            "dictionary-index-beyond-its-end",
            dictionary_indices(&[4, 20, 15]),
        ),
        (
            "dictionary-indices-of-255-bits",
            dictionary_indices(&[255, 20, 1]),
        ),
        ("dictionary-indices-missing", dictionary_indices(&[])),
        (
            "dictionary-indices-run-too-long",
            dictionary_indices(&[4, 0xfe, 0xff, 0xff, 0xff, 0x0f, 15]),
        ),
        (
            "definition-levels-longer-than-the-page",
            body(&sound_optional(), 0, &lengths(&[0; 40])),
        ),
        ("repetition-levels-begin-within-a-row", {
            let levels = [2, 0, 0, 0, 12, 1, 2, 0, 0, 0, 12, 1];
            body(&sound_list(), 0, &[levels.to_vec(), vec![0; 24]].concat())
        }),
        (
            "deltas-with-an-odd-block-size",
            body(
                &sound(),
                ENCODING_DELTA_BINARY_PACKED,
                &deltas(127, 3, 10, 0),
            ),
        ),
        (
            "deltas-with-a-block-of-2-to-the-60",
            body(
                &sound(),
                ENCODING_DELTA_BINARY_PACKED,
                &deltas(1 << 60, 1 << 55, 10, 0),
            ),
        ),
        (
            "deltas-with-more-values-than-the-page",
            body(
                &sound(),
                ENCODING_DELTA_BINARY_PACKED,
                &deltas(128, 4, 1 << 40, 0),
            ),
        ),
        (
            "deltas-of-200-bits",
            body(
                &sound(),
                ENCODING_DELTA_BINARY_PACKED,
                &[
                    deltas(128, 4, 10, 0),
                    vec![0, 200, 200, 200, 200],
                    vec![0; 900],
                ]
                .concat(),
            ),
        ),
        (
            "text-with-negative-delta-lengths",
            body(
                &sound_text(),
                ENCODING_DELTA_LENGTH_BYTE_ARRAY,
                &equal_deltas(10, -5, 0),
            ),
        ),
        (
            "text-with-delta-lengths-beyond-the-page",
            body(
                &sound_text(),
                ENCODING_DELTA_LENGTH_BYTE_ARRAY,
                &equal_deltas(10, 1 << 30, 0),
            ),
        ),
        ("snappy-that-is-none", garbage(Compression::SNAPPY)),
        (
            "gzip-that-is-none",
            garbage(Compression::GZIP(Default::default())),
        ),
        (
            "zstd-that-is-none",
            garbage(Compression::ZSTD(Default::default())),
        ),
        (
            "brotli-that-is-none",
            garbage(Compression::BROTLI(Default::default())),
        ),
        ("lz4-that-is-none", garbage(Compression::LZ4_RAW)),
    ]
}

fn long_column(by: Compression) -> Vec<u8> {
    let values = vec![7; 1000];
    compressed(
        "required int64 v",
        Stored::I64(values),
        Levels::default(),
        by,
    )
}

fn garbage(by: Compression) -> Vec<u8> {
    pages_of(&long_column(by), |file| {
        file.data_page().body.fill(0xa5);
    })
}

const BOMB_BYTES: usize = 64 << 20;

/// Small files that unpack to something large, or say so.
fn bombs() -> Vec<Defect> {
    let zeros = vec![0; BOMB_BYTES];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let unpacks_to_more = |by, body: Vec<u8>| {
        pages_of(&long_column(by), |file| {
            let page = file.data_page();
            let claimed = page.header.field(page::UNCOMPRESSED_SIZE).integer();
            page.set_body(body, claimed as usize);
        })
    };
    let claims = |by| {
        pages_of(&long_column(by), |file| {
            let size = i32(i64::from(i32::MAX));
            file.data_page().header.set(page::UNCOMPRESSED_SIZE, size);
        })
    };
    vec![
        (
            "bomb-zstd-page",
            unpacks_to_more(
                Compression::ZSTD(Default::default()),
                zstd::encode_all(&zeros[..], 19).unwrap(),
            ),
        ),
        ("bomb-snappy-page-of-2-gib", claims(Compression::SNAPPY)),
        (
            "bomb-zstd-page-of-2-gib",
            claims(Compression::ZSTD(Default::default())),
        ),
        (
            "bomb-brotli-page-of-2-gib",
            claims(Compression::BROTLI(Default::default())),
        ),
        ("bomb-lz4-page-of-2-gib", claims(Compression::LZ4_RAW)),
        ("bomb-nulls-of-2-gib-each", fixed_length_nulls()),
        (
            "bomb-row-group-claims",
            footer_of(&sound(), |file| {
                let groups = file.footer.field(fields::ROW_GROUPS).items();
                groups.clear();
                groups.resize(8000, structure([]));
            }),
        ),
    ]
}

/// Nulls take no bytes in the file, and as many as their type has in memory.
fn fixed_length_nulls() -> Vec<u8> {
    let levels = Levels {
        definition: Some(vec![0; 1000]),
        repetition: None,
    };
    let file = one(
        "optional fixed_len_byte_array(8) v",
        Stored::Fixed(vec![]),
        levels,
    );
    footer_of(&file, |file| {
        let column = file.footer.field(fields::SCHEMA).item(1);
        column.set(element::TYPE_LENGTH, i32(i64::from(i32::MAX)));
    })
}

/// Each value is the one before and four bytes more.
fn shared_prefixes() -> Vec<u8> {
    const VALUES: usize = 12_000;

    let values = vec![b"a".to_vec(); VALUES];
    let file = one(
        "required binary v",
        Stored::Bytes(values),
        Levels::default(),
    );
    let (prefixes, suffixes) = (equal_deltas(VALUES, 0, 4), equal_deltas(VALUES, 4, 0));
    let page = [prefixes, suffixes, vec![b'a'; 4 * VALUES]].concat();
    body(&file, ENCODING_DELTA_BYTE_ARRAY, &page)
}
