//! Page headers, read and checked before anything relies on them: a header
//! says how large its page becomes, and memory is taken for that.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding};

use crate::thrift::{Damaged, Kind, Reader};

/// One page header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) page: PageKind,
    /// Length of the header itself.
    pub(super) length: usize,
    /// Length of the page in the file.
    pub(super) stored: usize,
    /// Length of the page once it is decompressed.
    pub(super) plain: usize,
    /// CRC-32 of the page as it is stored.
    pub(super) crc: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageKind {
    Dictionary {
        values: u32,
        encoding: Encoding,
        sorted: bool,
    },
    Data {
        values: u32,
        encoding: Encoding,
        definition: Encoding,
        repetition: Encoding,
    },
    DataV2 {
        values: u32,
        nulls: u32,
        rows: u32,
        encoding: Encoding,
        definition_bytes: u32,
        repetition_bytes: u32,
        compressed: bool,
    },
    /// Skipped by every reader.
    Index,
}

impl Header {
    /// Values in a data page, nulls included.
    pub(super) fn values(&self) -> u64 {
        match self.page {
            PageKind::Data { values, .. } | PageKind::DataV2 { values, .. } => values.into(),
            PageKind::Dictionary { .. } | PageKind::Index => 0,
        }
    }

    /// Says what cannot be true of a page with `room` bytes from its header on
    /// to the end of its column chunk.
    pub(super) fn check(&self, room: u64, codec: Compression) -> Result<(), String> {
        let (stored, plain) = (self.stored as u64, self.plain as u64);
        let left = room.saturating_sub(self.length as u64);
        if stored > left {
            return Err(format!("a page claims {stored} bytes of the {left} left"));
        }
        match self.page {
            PageKind::Dictionary { values, .. } if u64::from(values) > plain => {
                return Err(format!(
                    "a dictionary claims {values} values in {plain} bytes"
                ));
            }
            PageKind::DataV2 {
                definition_bytes,
                repetition_bytes,
                ..
            } if self.level_bytes() > stored.min(plain) => {
                return Err(format!(
                    "a page claims {repetition_bytes} and {definition_bytes} bytes of levels \
                     in {stored} bytes"
                ));
            }
            _ => {}
        }
        let possible = most_from(
            stored,
            if self.is_stored_plain() {
                None
            } else {
                Some(codec)
            },
        );
        if plain > possible {
            return Err(format!(
                "a page claims to become {plain} bytes, and its {stored} can become {possible} at most"
            ));
        }
        Ok(())
    }

    /// Bytes of levels at the front of a page of version 2, never compressed.
    pub(super) fn level_bytes(&self) -> u64 {
        match self.page {
            PageKind::DataV2 {
                definition_bytes,
                repetition_bytes,
                ..
            } => u64::from(definition_bytes) + u64::from(repetition_bytes),
            _ => 0,
        }
    }

    /// Whether the page is not compressed although its column is.
    pub(super) fn is_stored_plain(&self) -> bool {
        matches!(
            self.page,
            PageKind::DataV2 {
                compressed: false,
                ..
            }
        )
    }
}

/// A header for the decoder, which reads headers itself: as long as the original,
/// with nothing in it but what has been checked here. `None` if that cannot be,
/// which no writer's header gives cause for.
pub(super) fn for_decoder(header: &Header) -> Option<Bytes> {
    let mut out = Writer::default();
    out.integer(1, page_type(&header.page));
    out.integer(2, u32::try_from(header.plain).ok()?);
    out.integer(3, u32::try_from(header.stored).ok()?);
    out.page(&header.page);
    out.padded_to(header.length)
}

/// A header of a page that every decoder skips, together with that page as long
/// as `length`.
pub(super) fn filler(length: u64) -> Option<Bytes> {
    // Six bytes of padding make the length of the header independent of the
    // number in it.
    const HEADER_BYTES: usize = 20;

    let mut out = Writer::default();
    out.integer(1, page_type(&PageKind::Index));
    out.integer(2, 0);
    let stored = length.checked_sub(HEADER_BYTES as u64)?;
    out.integer(3, i32::try_from(stored).ok()?.cast_unsigned());
    out.padded_to(HEADER_BYTES)
}

fn page_type(page: &PageKind) -> u32 {
    match page {
        PageKind::Data { .. } => 0,
        PageKind::Index => 1,
        PageKind::Dictionary { .. } => 2,
        PageKind::DataV2 { .. } => 3,
    }
}

/// Writes Thrift's compact encoding, fields in ascending order.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    last: u8,
}

impl Writer {
    fn field(&mut self, id: u8, wire: u8) {
        self.bytes.push(((id - self.last) << 4) | wire);
        self.last = id;
    }

    fn varint(&mut self, mut number: u64) {
        while number > 0x7f {
            self.bytes.push((number as u8 & 0x7f) | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    fn integer(&mut self, id: u8, number: u32) {
        self.field(id, 5);
        self.varint(u64::from(number) << 1);
    }

    fn flag(&mut self, id: u8, value: bool) {
        self.field(id, if value { 1 } else { 2 });
    }

    fn structure(&mut self, id: u8, fields: impl FnOnce(&mut Self)) {
        self.field(id, 12);
        self.last = 0;
        fields(self);
        self.bytes.push(0);
        self.last = id;
    }

    fn page(&mut self, page: &PageKind) {
        match *page {
            PageKind::Index => {}
            PageKind::Dictionary {
                values,
                encoding,
                sorted,
            } => self.structure(7, |out| {
                out.integer(1, values);
                out.integer(2, number_of(encoding));
                if sorted {
                    out.flag(3, true);
                }
            }),
            PageKind::Data {
                values,
                encoding,
                definition,
                repetition,
            } => self.structure(5, |out| {
                out.integer(1, values);
                out.integer(2, number_of(encoding));
                out.integer(3, number_of(definition));
                out.integer(4, number_of(repetition));
            }),
            PageKind::DataV2 {
                values,
                nulls,
                rows,
                encoding,
                definition_bytes,
                repetition_bytes,
                compressed,
            } => self.structure(8, |out| {
                out.integer(1, values);
                out.integer(2, nulls);
                out.integer(3, rows);
                out.integer(4, number_of(encoding));
                out.integer(5, definition_bytes);
                out.integer(6, repetition_bytes);
                if !compressed {
                    out.flag(7, false);
                }
            }),
        }
    }

    /// Ends the header, `length` bytes long, by a field that nobody knows.
    fn padded_to(mut self, length: usize) -> Option<Bytes> {
        const UNKNOWN: u8 = 15;
        const BINARY: u8 = 8;

        match length.checked_sub(self.bytes.len() + 1)? {
            0 => {}
            // A flag has no value of its own.
            1 => self.flag(UNKNOWN, true),
            padding => {
                self.field(UNKNOWN, BINARY);
                // The longer the padding, the longer the number of its length.
                let lengths = (1..=5).map(|bytes| (bytes, (padding - 1).checked_sub(bytes)));
                let (bytes, rest) = lengths
                    .filter_map(|(bytes, rest)| Some((bytes, rest?)))
                    .find(|&(bytes, rest)| rest >> (7 * bytes) == 0)?;
                let end = self.bytes.len() + bytes;
                self.varint(rest as u64);
                if self.bytes.len() < end {
                    // A longer form of the same number.
                    let last = self.bytes.len() - 1;
                    self.bytes[last] |= 0x80;
                    self.bytes.resize(end - 1, 0x80);
                    self.bytes.push(0);
                }
                self.bytes.resize(end + rest, 0);
            }
        }
        self.bytes.push(0);
        Some(self.bytes.into())
    }
}

/// The most that `stored` bytes can decompress to. Small pages get away with
/// anything: they are no danger.
fn most_from(stored: u64, codec: Option<Compression>) -> u64 {
    const SMALL: u64 = 64 << 10;

    let factor = match codec {
        None | Some(Compression::UNCOMPRESSED) => return stored,
        // Three bytes of a copy give 64 at most.
        Some(Compression::SNAPPY) => 22,
        Some(Compression::LZ4 | Compression::LZ4_RAW) => 256,
        Some(Compression::GZIP(_)) => 1_040,
        // A block of one repeated byte takes four bytes and gives 128 KiB.
        Some(Compression::ZSTD(_)) => 32 << 10,
        Some(Compression::BROTLI(_) | Compression::LZO) => return u64::MAX,
    };
    stored.saturating_mul(factor).max(SMALL)
}

/// Reads the header at the front of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Header, Damaged> {
    const TYPE: i64 = 1;
    const PLAIN: i64 = 2;
    const STORED: i64 = 3;
    const CRC: i64 = 4;
    const DATA: i64 = 5;
    const DICTIONARY: i64 = 7;
    const DATA_V2: i64 = 8;

    let mut reader = Reader::new(bytes);
    let (mut kind, mut plain, mut stored, mut crc) = (None, None, None, None);
    let (mut data, mut dictionary, mut data_v2) = (None, None, None);
    let mut last = 0;
    while let Some((id, wire)) = reader.field(&mut last)? {
        match (id, wire) {
            (TYPE, Kind::Integer) => kind = Some(reader.integer()?),
            (PLAIN, Kind::Integer) => plain = Some(size(reader.integer()?)?),
            (STORED, Kind::Integer) => stored = Some(size(reader.integer()?)?),
            // A signed number in the file, an unsigned one everywhere else.
            (CRC, Kind::Integer) => crc = Some(reader.integer()? as u32),
            (DATA, Kind::Struct) => data = Some(Fields::read(&mut reader)?),
            (DICTIONARY, Kind::Struct) => dictionary = Some(Fields::read(&mut reader)?),
            (DATA_V2, Kind::Struct) => data_v2 = Some(Fields::read(&mut reader)?),
            _ => reader.skip_field(wire)?,
        }
    }
    let page = match kind {
        Some(0) => data
            .ok_or(Damaged("its data page header is missing"))?
            .data()?,
        Some(1) => PageKind::Index,
        Some(2) => dictionary
            .ok_or(Damaged("its dictionary page header is missing"))?
            .dictionary()?,
        Some(3) => data_v2
            .ok_or(Damaged("its data page header is missing"))?
            .data_v2()?,
        _ => return Err(Damaged("an unknown type of page")),
    };
    Ok(Header {
        page,
        length: bytes.len() - reader.remaining(),
        stored: stored.ok_or(Damaged("the page's size is missing"))?,
        plain: plain.ok_or(Damaged("the page's size is missing"))?,
        crc,
    })
}

fn size(number: i64) -> Result<usize, Damaged> {
    i32::try_from(number)
        .ok()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or(Damaged("a page's size is impossible"))
}

/// The numbers of one kind of page, by field.
#[derive(Debug, Default)]
struct Fields {
    integers: [Option<i64>; 8],
    bool: Option<bool>,
}

impl Fields {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut fields = Self::default();
        let mut last = 0;
        while let Some((id, wire)) = reader.field(&mut last)? {
            let known = usize::try_from(id).ok().filter(|&id| id < 8);
            match (known, wire) {
                (Some(id), Kind::Integer) => fields.integers[id] = Some(reader.integer()?),
                // No kind of page has two of them.
                (_, Kind::Bool(value)) => fields.bool = Some(value),
                _ => reader.skip_field(wire)?,
            }
        }
        Ok(fields)
    }

    fn dictionary(&self) -> Result<PageKind, Damaged> {
        Ok(PageKind::Dictionary {
            values: self.count(1)?,
            encoding: self.encoding(2)?,
            sorted: self.bool.unwrap_or(false),
        })
    }

    fn data(&self) -> Result<PageKind, Damaged> {
        Ok(PageKind::Data {
            values: self.count(1)?,
            encoding: self.encoding(2)?,
            definition: self.encoding(3)?,
            repetition: self.encoding(4)?,
        })
    }

    fn data_v2(&self) -> Result<PageKind, Damaged> {
        Ok(PageKind::DataV2 {
            values: self.count(1)?,
            nulls: self.count(2)?,
            rows: self.count(3)?,
            encoding: self.encoding(4)?,
            definition_bytes: self.count(5)?,
            repetition_bytes: self.count(6)?,
            compressed: self.bool.unwrap_or(true),
        })
    }

    fn count(&self, field: usize) -> Result<u32, Damaged> {
        let number = self.integers[field].ok_or(Damaged("a page's number is missing"))?;
        let number = i32::try_from(number)
            .ok()
            .and_then(|n| u32::try_from(n).ok());
        number.ok_or(Damaged("a page's number is impossible"))
    }

    fn encoding(&self, field: usize) -> Result<Encoding, Damaged> {
        let number = self.integers[field];
        let known = ENCODINGS
            .iter()
            .find(|(known, _)| Some(i64::from(*known)) == number);
        known
            .map(|&(_, encoding)| encoding)
            .ok_or(Damaged("an unknown encoding"))
    }
}

#[expect(deprecated, reason = "old files use bit packing for levels")]
const ENCODINGS: [(u32, Encoding); 9] = [
    (0, Encoding::PLAIN),
    (2, Encoding::PLAIN_DICTIONARY),
    (3, Encoding::RLE),
    (4, Encoding::BIT_PACKED),
    (5, Encoding::DELTA_BINARY_PACKED),
    (6, Encoding::DELTA_LENGTH_BYTE_ARRAY),
    (7, Encoding::DELTA_BYTE_ARRAY),
    (8, Encoding::RLE_DICTIONARY),
    (9, Encoding::BYTE_STREAM_SPLIT),
];

fn number_of(encoding: Encoding) -> u32 {
    let known = ENCODINGS.iter().find(|(_, known)| *known == encoding);
    known
        .map(|&(number, _)| number)
        .expect("it has been read by number")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A page as a writer would write it, of `body` bytes.
    pub(in crate::read) fn page(
        kind: u8,
        plain: u8,
        stored: u8,
        values: u8,
        body: usize,
    ) -> Vec<u8> {
        let zigzag = |value: u8| value * 2;
        let field = if kind == 2 { 7 } else { 5 };
        let mut bytes = vec![
            0x15,
            zigzag(kind),
            0x15,
            zigzag(plain),
            0x15,
            zigzag(stored),
        ];
        // From field 3 to that of the page, a struct: values, then encodings.
        bytes.push(((field - 3) << 4) | 0x0c);
        bytes.extend([0x15, zigzag(values), 0x15, 0]);
        if kind == 0 {
            bytes.extend([0x15, zigzag(3), 0x15, zigzag(3)]);
        }
        bytes.extend([0, 0]);
        bytes.resize(bytes.len() + body, 0xaa);
        bytes
    }

    #[test]
    fn a_header_says_what_follows_it() {
        let bytes = page(0, 40, 4, 9, 4);
        let header = read(&bytes).unwrap();
        let expected = Header {
            page: PageKind::Data {
                values: 9,
                encoding: Encoding::PLAIN,
                definition: Encoding::RLE,
                repetition: Encoding::RLE,
            },
            length: bytes.len() - 4,
            stored: 4,
            plain: 40,
            crc: None,
        };
        assert_eq!(header, expected);
        for cut in 0..header.length {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn claims_that_cannot_be_true_are_found() {
        let check = |bytes: &[u8], codec| {
            let header = read(bytes).unwrap();
            header.check(bytes.len() as u64, codec)
        };
        let none = Compression::UNCOMPRESSED;
        assert_eq!(check(&page(0, 5, 5, 3, 5), none), Ok(()));
        for (bytes, codec, problem) in [
            (
                page(0, 9, 9, 1, 8),
                none,
                "a page claims 9 bytes of the 8 left",
            ),
            (
                page(2, 8, 8, 9, 8),
                none,
                "a dictionary claims 9 values in 8 bytes",
            ),
            (
                page(0, 9, 8, 9, 8),
                none,
                "a page claims to become 9 bytes, and its 8 can become 8 at most",
            ),
        ] {
            assert_eq!(check(&bytes, codec), Err(problem.to_owned()));
        }
    }

    #[test]
    fn the_decoders_header_says_the_same_in_the_same_length() {
        let pages = [
            PageKind::Dictionary {
                values: 7,
                encoding: Encoding::PLAIN,
                sorted: true,
            },
            PageKind::Data {
                values: 70_000,
                encoding: Encoding::RLE_DICTIONARY,
                definition: Encoding::RLE,
                repetition: Encoding::RLE,
            },
            PageKind::DataV2 {
                values: 300,
                nulls: 2,
                rows: 100,
                encoding: Encoding::DELTA_BYTE_ARRAY,
                definition_bytes: 10,
                repetition_bytes: 0,
                compressed: false,
            },
        ];
        for page in pages {
            for length in (0..300).chain(16_300..16_500) {
                let header = Header {
                    page: page.clone(),
                    length,
                    stored: 100_000,
                    plain: 1 << 30,
                    crc: None,
                };
                let Some(bytes) = for_decoder(&header) else {
                    assert!(length < 30, "{length}");
                    continue;
                };
                assert_eq!(bytes.len(), length);
                assert_eq!(read(&bytes).as_ref(), Ok(&header));
            }
        }
    }

    #[test]
    fn a_filler_is_as_long_as_it_should_be() {
        for length in [20, 21, 1000, 100_000_000] {
            let bytes = filler(length).unwrap();
            let header = read(&bytes).unwrap();
            assert_eq!(header.page, PageKind::Index);
            assert_eq!((header.length + header.stored) as u64, length);
        }
        assert_eq!(filler(19), None);
    }

    #[test]
    fn a_bomb_is_known_by_its_size() {
        assert_eq!(most_from(10_000, Some(Compression::SNAPPY)), 220_000);
        assert_eq!(most_from(10, Some(Compression::LZ4_RAW)), 64 << 10);
        assert_eq!(most_from(10, None), 10);
    }
}
