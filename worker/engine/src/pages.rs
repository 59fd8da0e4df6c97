//! A walk over the page headers of a fetched column chunk: the footer does not
//! say how large pages become, and the decoder allocates what a header claims.

use bytes::Bytes;

use crate::thrift::{Damaged, Kind, Reader};

/// What is wrong with a chunk's pages, and how far into the chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPage {
    pub(crate) offset: u64,
    pub(crate) problem: String,
}

/// Memory that decoding a chunk holds at once: its dictionary and its largest
/// page, uncompressed.
///
/// Walks until the pages have as many values as the footer says, because bytes
/// after that are never decoded.
pub(crate) fn working_bytes(chunk: &Bytes, values: u64) -> Result<u64, BadPage> {
    let mut at = 0;
    let mut seen = 0;
    let mut dictionary = 0;
    let mut largest = 0;
    while seen < values && at < chunk.len() {
        let bad = |problem: String| BadPage {
            offset: at as u64,
            problem,
        };
        let mut reader = Reader::new(&chunk[at..]);
        let page = read_header(&mut reader)
            .map_err(|Damaged(what)| bad(format!("a page header is damaged: {what}")))?;
        let room = reader.remaining();
        let Some(body) = usize::try_from(page.compressed)
            .ok()
            .filter(|&body| body <= room)
        else {
            let claimed = page.compressed;
            return Err(bad(format!(
                "a page claims {claimed} bytes of the {room} left"
            )));
        };
        let Ok(uncompressed) = u64::try_from(page.uncompressed) else {
            return Err(bad("a page claims a negative size".to_owned()));
        };
        match page.content {
            Content::Dictionary { values } if i128::from(values) > i128::from(uncompressed) => {
                let problem =
                    format!("a dictionary claims {values} values in {uncompressed} bytes");
                return Err(bad(problem));
            }
            Content::Dictionary { .. } => dictionary = uncompressed,
            Content::Data { values } => {
                let Ok(values) = u64::try_from(values) else {
                    return Err(bad("a page claims a negative number of values".to_owned()));
                };
                seen += values;
                largest = largest.max(uncompressed);
            }
            Content::Other => {}
        }
        at = chunk.len() - room + body;
    }
    if seen != values {
        let problem = format!("the pages hold {seen} values, and the footer says {values}");
        return Err(BadPage {
            offset: at as u64,
            problem,
        });
    }
    Ok(dictionary.saturating_add(largest))
}

#[derive(Debug, Default)]
struct PageHeader {
    uncompressed: i64,
    compressed: i64,
    content: Content,
}

#[derive(Debug, Default)]
enum Content {
    Dictionary {
        values: i64,
    },
    Data {
        values: i64,
    },
    /// An index page: skipped by every reader.
    #[default]
    Other,
}

fn read_header(reader: &mut Reader<'_>) -> Result<PageHeader, Damaged> {
    const UNCOMPRESSED_SIZE: i64 = 2;
    const COMPRESSED_SIZE: i64 = 3;
    const DATA: i64 = 5;
    const DICTIONARY: i64 = 7;
    const DATA_V2: i64 = 8;

    let mut page = PageHeader::default();
    let mut last = 0;
    while let Some((id, kind)) = reader.field(&mut last)? {
        match (id, kind) {
            (UNCOMPRESSED_SIZE, Kind::Integer) => page.uncompressed = reader.integer()?,
            (COMPRESSED_SIZE, Kind::Integer) => page.compressed = reader.integer()?,
            (DATA | DATA_V2, Kind::Struct) => {
                page.content = Content::Data {
                    values: first_integer(reader)?,
                };
            }
            (DICTIONARY, Kind::Struct) => {
                page.content = Content::Dictionary {
                    values: first_integer(reader)?,
                };
            }
            _ => reader.skip_field(kind)?,
        }
    }
    Ok(page)
}

/// The integer in field 1, the number of values in every kind of page.
fn first_integer(reader: &mut Reader<'_>) -> Result<i64, Damaged> {
    let mut value = None;
    let mut last = 0;
    while let Some((id, kind)) = reader.field(&mut last)? {
        match (id, kind) {
            (1, Kind::Integer) => value = Some(reader.integer()?),
            _ => reader.skip_field(kind)?,
        }
    }
    value.ok_or(Damaged("the number of values is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One page: sizes, then a data or dictionary header with `values`.
    fn page(uncompressed: u8, compressed: u8, kind: u8, values: u8, body: usize) -> Vec<u8> {
        let zigzag = |value: u8| value * 2;
        let mut bytes = vec![
            0x15,
            0,
            0x15,
            zigzag(uncompressed),
            0x15,
            zigzag(compressed),
        ];
        // From field 3 to field 5 or 7, a struct.
        bytes.push(((kind - 3) << 4) | 0x0c);
        bytes.extend([0x15, zigzag(values), 0, 0]);
        bytes.resize(bytes.len() + body, 0xaa);
        bytes
    }

    #[test]
    fn the_dictionary_and_the_largest_page_count() {
        let pages = [
            page(40, 4, 7, 9, 4),
            page(20, 5, 5, 3, 5),
            page(30, 6, 5, 4, 6),
        ]
        .concat();
        assert_eq!(working_bytes(&pages.into(), 7), Ok(70));
    }

    #[test]
    fn bytes_after_the_last_value_are_not_looked_at() {
        let pages = [page(20, 5, 5, 3, 5), vec![0xff; 9]].concat();
        assert_eq!(working_bytes(&pages.into(), 3), Ok(20));
    }

    #[test]
    fn claims_that_cannot_be_true_are_refused_at_their_page() {
        let first = page(20, 5, 5, 3, 5);
        let offset = first.len() as u64;
        for (second, values, problem) in [
            (
                page(1, 9, 5, 3, 8),
                6,
                "a page claims 9 bytes of the 8 left",
            ),
            (
                page(8, 1, 7, 9, 1),
                6,
                "a dictionary claims 9 values in 8 bytes",
            ),
            (
                vec![0x15],
                6,
                "a page header is damaged: it ends in the middle",
            ),
        ] {
            let chunk = [first.clone(), second].concat();
            let problem = problem.to_owned();
            assert_eq!(
                working_bytes(&chunk.into(), values),
                Err(BadPage { offset, problem })
            );
        }
        let problem = "the pages hold 3 values, and the footer says 4".to_owned();
        assert_eq!(
            working_bytes(&first.into(), 4),
            Err(BadPage { offset, problem })
        );
    }
}
