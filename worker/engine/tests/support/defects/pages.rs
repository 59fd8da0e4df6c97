//! Defects in pages and before them.

use parquet::basic::Compression;

use super::super::dissect::Page;
use super::super::dissect::fields::{self, chunk, meta, page, row_group};
use super::super::thrift::{Value, i32, i64, structure};
use super::super::{Levels, Stored};
use super::{
    Defect, compressed, footer_of, one, pages_of, sound, sound_list, sound_optional, sound_text,
};

const ENCODING_RLE: i64 = 3;
const ENCODING_DELTA_BINARY_PACKED: i64 = 5;
const ENCODING_DELTA_BYTE_ARRAY: i64 = 7;
const ENCODING_DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
const ENCODING_RLE_DICTIONARY: i64 = 8;

pub(super) fn headers() -> Vec<Defect> {
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
pub(super) fn body(file: &[u8], encoding: i64, body: &[u8]) -> Vec<u8> {
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
pub(super) fn equal_deltas(count: usize, first: i64, delta: i64) -> Vec<u8> {
    let zigzag = (delta << 1 ^ delta >> 63).cast_unsigned();
    let block = [varint(zigzag), vec![0; 4]].concat();
    let blocks = (count - 1).div_ceil(128);
    [deltas(128, 4, count as u64, first), block.repeat(blocks)].concat()
}

/// A page of 2147483647 values, of which the footer knows, that are all empty and
/// take hardly any bytes.
fn empty_texts(encoding: i64) -> Vec<u8> {
    let count = i64::from(i32::MAX);
    let lengths = deltas(128, 4, count.cast_unsigned(), 0);
    let file = body(&sound_text(), encoding, &lengths.repeat(2));
    let file = pages_of(&file, |file| {
        let header = file.data_page().header.field(page::DATA);
        header.set(page::NUM_VALUES, i32(count));
    });
    footer_of(&file, |file| {
        file.footer.set(fields::NUM_ROWS, i64(count));
        let group = file.footer.field(fields::ROW_GROUPS).item(0);
        group.set(row_group::NUM_ROWS, i64(count));
        let column = group.field(row_group::COLUMNS).item(0);
        column
            .field(chunk::META_DATA)
            .set(meta::NUM_VALUES, i64(count));
    })
}

pub(super) fn bodies() -> Vec<Defect> {
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
            "text-with-more-delta-lengths-than-the-page",
            body(
                &sound_text(),
                ENCODING_DELTA_LENGTH_BYTE_ARRAY,
                &deltas(128, 4, 1 << 40, 0),
            ),
        ),
        (
            "text-with-2-gib-of-empty-delta-lengths",
            empty_texts(ENCODING_DELTA_LENGTH_BYTE_ARRAY),
        ),
        (
            "text-with-2-gib-of-empty-shared-prefixes",
            empty_texts(ENCODING_DELTA_BYTE_ARRAY),
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
        ("text-with-a-prefix-before-the-first-value", {
            let page = [
                equal_deltas(10, 7, 0),
                equal_deltas(10, 1, 0),
                vec![b'a'; 10],
            ]
            .concat();
            body(&sound_text(), ENCODING_DELTA_BYTE_ARRAY, &page)
        }),
        ("text-with-a-prefix-longer-than-the-value-before", {
            let page = [
                equal_deltas(10, 0, 1000),
                equal_deltas(10, 1, 0),
                vec![b'a'; 10],
            ]
            .concat();
            body(&sound_text(), ENCODING_DELTA_BYTE_ARRAY, &page)
        }),
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

pub(super) fn long_column(by: Compression) -> Vec<u8> {
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
