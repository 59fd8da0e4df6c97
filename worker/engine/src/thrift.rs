//! A look over Thrift's compact encoding before the real decoder sees it: are
//! all lengths within the bytes at hand, is the nesting bounded? The real
//! decoders recurse and allocate on what they read.

/// What is wrong with the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

/// Structures nest at most this deep in any parquet metadata (8 at the time of
/// writing).
const MAX_NESTING: usize = 32;

/// Wire types, as far as they matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The value of a field lives in its header.
    Bool(bool),
    Byte,
    /// 16, 32 and 64 bits share one encoding.
    Integer,
    Double,
    Binary,
    List,
    Map,
    Struct,
    Uuid,
}

impl Kind {
    fn new(code: u8) -> Result<Self, Damaged> {
        Ok(match code {
            1 => Self::Bool(true),
            2 => Self::Bool(false),
            3 => Self::Byte,
            4..=6 => Self::Integer,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            13 => Self::Uuid,
            _ => return Err(Damaged("an unknown wire type")),
        })
    }
}

/// Reads the encoding from the front of a slice.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    skipped_items: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            skipped_items: 0,
        }
    }

    /// Number of bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next field's number and kind, or `None` at the end of the struct.
    /// `last` is the previous field's number, 0 at first.
    pub(crate) fn field(&mut self, last: &mut i64) -> Result<Option<(i64, Kind)>, Damaged> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let delta = header >> 4;
        *last = if delta == 0 {
            self.integer()?
        } else {
            last.saturating_add(delta.into())
        };
        Ok(Some((*last, Kind::new(header & 0x0f)?)))
    }

    /// A zigzag integer of up to 64 bits.
    pub(crate) fn integer(&mut self) -> Result<i64, Damaged> {
        let raw = self.varint()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    /// The number and kind of a list's elements. There are never more than
    /// bytes left, because every element takes at least one.
    pub(crate) fn list(&mut self) -> Result<(usize, Kind), Damaged> {
        let header = self.byte()?;
        let short = header >> 4;
        let size = if short == 15 {
            self.varint()?
        } else {
            short.into()
        };
        let size = self.bounded(size)?;
        if size == 0 {
            return Ok((0, Kind::Byte));
        }
        Ok((size, Kind::new(header & 0x0f)?))
    }

    /// A byte string.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.varint()?;
        let length = self.bounded(length)?;
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(bytes)
    }

    /// Number of items in all lists and maps that have been skipped.
    pub(crate) fn skipped_items(&self) -> u64 {
        self.skipped_items
    }

    /// Skips the value of a field; booleans have none, they live in the header.
    pub(crate) fn skip_field(&mut self, kind: Kind) -> Result<(), Damaged> {
        match kind {
            Kind::Bool(_) => Ok(()),
            kind => self.skip(kind, MAX_NESTING),
        }
    }

    fn skip(&mut self, kind: Kind, nesting: usize) -> Result<(), Damaged> {
        let Some(nesting) = nesting.checked_sub(1) else {
            return Err(Damaged("structures nested too deeply"));
        };
        match kind {
            Kind::Bool(_) | Kind::Byte => self.advance(1),
            Kind::Double => self.advance(8),
            Kind::Uuid => self.advance(16),
            Kind::Integer => self.varint().map(drop),
            Kind::Binary => self.binary().map(drop),
            Kind::List => {
                let (size, kind) = self.list()?;
                self.skipped_items += size as u64;
                (0..size).try_for_each(|_| self.skip(kind, nesting))
            }
            Kind::Map => self.skip_map(nesting),
            Kind::Struct => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    if !matches!(kind, Kind::Bool(_)) {
                        self.skip(kind, nesting)?;
                    }
                }
                Ok(())
            }
        }
    }

    fn skip_map(&mut self, nesting: usize) -> Result<(), Damaged> {
        let size = self.varint()?;
        let size = self.bounded(size)?;
        if size == 0 {
            return Ok(());
        }
        self.skipped_items += size as u64;
        let kinds = self.byte()?;
        let (key, value) = (Kind::new(kinds >> 4)?, Kind::new(kinds & 0x0f)?);
        for _ in 0..size {
            self.skip(key, nesting)?;
            self.skip(value, nesting)?;
        }
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Damaged> {
        let (&byte, rest) = self
            .rest
            .split_first()
            .ok_or(Damaged("it ends in the middle"))?;
        self.rest = rest;
        Ok(byte)
    }

    fn advance(&mut self, length: usize) -> Result<(), Damaged> {
        self.rest = self
            .rest
            .get(length..)
            .ok_or(Damaged("it ends in the middle"))?;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Damaged("a number longer than 64 bits"))
    }

    fn bounded(&self, length: u64) -> Result<usize, Damaged> {
        usize::try_from(length)
            .ok()
            .filter(|&length| length <= self.rest.len())
            .ok_or(Damaged("a length beyond its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_zigzag() {
        for (bytes, value) in [
            (&[0_u8][..], 0),
            (&[1], -1),
            (&[2], 1),
            (&[0xac, 0x02], 150),
        ] {
            assert_eq!(Reader::new(bytes).integer(), Ok(value));
        }
        assert!(Reader::new(&[0xff; 11]).integer().is_err());
    }

    #[test]
    fn a_list_longer_than_its_bytes_is_damaged() {
        // 15 in the high nibble: the size follows as a varint, here 2^28.
        let bytes = [0xf5, 0x80, 0x80, 0x80, 0x80, 0x01];
        assert_eq!(
            Reader::new(&bytes).list(),
            Err(Damaged("a length beyond its end"))
        );
    }

    #[test]
    fn deep_nesting_is_damaged_instead_of_a_stack_overflow() {
        // Field 1 is a struct whose field 1 is a struct ...
        let bytes = [0x1c; 100_000];
        let result = Reader::new(&bytes).skip_field(Kind::Struct);
        assert_eq!(result, Err(Damaged("structures nested too deeply")));
    }

    #[test]
    fn fields_count_from_the_previous_one() {
        // Field 2: integer 1; field 3: true; field 20 (long form): binary "a"; stop.
        let bytes = [0x25, 0x02, 0x11, 0x08, 0x28, 0x01, b'a', 0x00];
        let mut reader = Reader::new(&bytes);
        let mut last = 0;
        let mut seen = Vec::new();
        while let Some((id, kind)) = reader.field(&mut last).unwrap() {
            seen.push((id, kind));
            reader.skip_field(kind).unwrap();
        }
        assert_eq!(
            seen,
            [
                (2, Kind::Integer),
                (3, Kind::Bool(true)),
                (20, Kind::Binary)
            ]
        );
        assert_eq!(reader.remaining(), 0);
    }
}
