//! Small files that become large, or say so.

use std::io::Write;

use parquet::basic::Compression;

use super::super::dissect::fields::{self, element, page};
use super::super::thrift::{i32, structure};
use super::super::{Levels, Stored};
use super::pages::{body, equal_deltas, long_column};
use super::{Defect, footer_of, one, pages_of, sound};

const ENCODING_DELTA_BYTE_ARRAY: i64 = 7;

const BOMB_BYTES: usize = 64 << 20;

/// Small files that unpack to something large, or say so.
pub(super) fn all() -> Vec<Defect> {
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
            "bomb-gzip-page",
            unpacks_to_more(
                Compression::GZIP(Default::default()),
                gzip.finish().unwrap(),
            ),
        ),
        ("bomb-shared-prefixes", shared_prefixes()),
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
