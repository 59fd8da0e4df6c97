//! Text whose lengths are stored as deltas (`DELTA_LENGTH_BYTE_ARRAY`), or that is
//! stored as what it shares with the text before and what follows
//! (`DELTA_BYTE_ARRAY`), looked at before it is decoded.
//!
//! The decoder makes room for as many lengths as the page says it has. It takes a
//! prefix longer than the text before for all of it, which gives other text than
//! was written. And neither equal lengths nor prefixes cost anything in a page: a
//! few bytes can ask for any amount of memory.

/// What is wrong with a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damaged(pub(super) &'static str);

pub(super) const ENDS: Damaged = Damaged("a page ends within its lengths of text");
const NEGATIVE: Damaged = Damaged("a page holds text of a negative length");
const LONGER: Damaged = Damaged("a page holds text that begins with more than the text before it");
const BEYOND: Damaged = Damaged("a page ends within its text");
const COUNTS: Damaged = Damaged("a page counts its texts twice, and differently");
const MORE: Damaged = Damaged("a page holds more texts than values");
const LAYOUT: Damaged = Damaged("a page has an impossible layout of deltas");

/// The decoder keeps each length as a number of this size.
const LENGTH_BYTES: u64 = 4;

/// Bytes that the decoder takes for the lengths of the texts in `page`, which are
/// at most `values` and stand there without their levels. Once that is more than
/// `most`, the page is not looked at any further.
pub(super) fn length_bytes(page: &[u8], values: u64, most: u64) -> Result<u64, Damaged> {
    let mut lengths = Deltas::new(page, values)?;
    let total = lengths.count.saturating_mul(LENGTH_BYTES);
    if total > most {
        return Ok(total);
    }
    let mut room = lengths.clone().rest()?.len() as u64;
    while let Some(length) = lengths.next()? {
        let length = u64::try_from(length).map_err(|_| NEGATIVE)?;
        room = room.checked_sub(length).ok_or(BEYOND)?;
    }
    Ok(total)
}

/// Bytes that the texts in `page` take together, with the lengths of what they
/// share and what follows; `values` and `most` as for [`length_bytes`].
pub(super) fn decoded_bytes(page: &[u8], values: u64, most: u64) -> Result<u64, Damaged> {
    let mut prefixes = Deltas::new(page, values)?;
    let mut total = prefixes.count.saturating_mul(2 * LENGTH_BYTES);
    if total > most {
        return Ok(total);
    }
    let mut suffixes = Deltas::new(prefixes.clone().rest()?, values)?;
    if prefixes.count != suffixes.count {
        return Err(COUNTS);
    }
    let mut room = suffixes.clone().rest()?.len() as u64;
    let mut before = 0;
    while let Some(prefix) = prefixes.next()? {
        let suffix = suffixes.next()?.ok_or(COUNTS)?;
        let [prefix, suffix] = [prefix, suffix].map(u64::try_from);
        let (prefix, suffix) = (prefix.map_err(|_| NEGATIVE)?, suffix.map_err(|_| NEGATIVE)?);
        if prefix > before {
            return Err(LONGER);
        }
        room = room.checked_sub(suffix).ok_or(BEYOND)?;
        before = prefix + suffix;
        total = total.saturating_add(before);
    }
    Ok(total)
}

/// Numbers in `DELTA_BINARY_PACKED`.
#[derive(Debug, Clone)]
struct Deltas<'a> {
    rest: &'a [u8],
    count: u64,
    left: u64,
    /// The number before the next one, or the first.
    last: i64,
    block_values: u64,
    miniblocks: usize,
    block: Block<'a>,
}

/// What is left of a block.
#[derive(Debug, Clone, Default)]
struct Block<'a> {
    least: i64,
    widths: &'a [u8],
    miniblock: &'a [u8],
    width: u32,
    /// Numbers of the miniblock that have been read, and that it has.
    at: u64,
    values: u64,
}

impl<'a> Deltas<'a> {
    fn new(mut rest: &'a [u8], most: u64) -> Result<Self, Damaged> {
        let block_values = varint(&mut rest)?;
        let miniblocks = varint(&mut rest)?;
        let count = varint(&mut rest)?;
        let last = zigzag(&mut rest)?;
        let is_sound = miniblocks > 0
            && block_values.is_multiple_of(128)
            && block_values.is_multiple_of(miniblocks)
            && (block_values / miniblocks).is_multiple_of(32)
            && (1..=1 << 20).contains(&block_values);
        if !is_sound {
            return Err(LAYOUT);
        }
        if count > most {
            return Err(MORE);
        }
        Ok(Self {
            rest,
            count,
            left: count,
            last,
            block_values,
            miniblocks: usize::try_from(miniblocks).map_err(|_| LAYOUT)?,
            block: Block::default(),
        })
    }

    fn next(&mut self) -> Result<Option<i64>, Damaged> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.left < self.count {
            let delta = self.delta()?;
            self.last = self.last.wrapping_add(delta);
        }
        self.left -= 1;
        Ok(Some(self.last))
    }

    fn delta(&mut self) -> Result<i64, Damaged> {
        if self.block.at == self.block.values {
            self.next_miniblock()?;
        }
        let Block {
            miniblock,
            width,
            at,
            least,
            ..
        } = &mut self.block;
        let first = usize::try_from(*at * u64::from(*width)).map_err(|_| ENDS)?;
        *at += 1;
        if first + *width as usize > 8 * miniblock.len() {
            return Err(ENDS);
        }
        // At most 7 bits before it and 64 of its own.
        let mut window = [0; 16];
        let bytes = miniblock.get(first / 8..).unwrap_or_default();
        let length = bytes.len().min(9);
        window[..length].copy_from_slice(&bytes[..length]);
        let mask = (1_u128 << *width) - 1;
        let packed = (u128::from_le_bytes(window) >> (first % 8) & mask) as u64;
        Ok(least.wrapping_add(packed.cast_signed()))
    }

    fn next_miniblock(&mut self) -> Result<(), Damaged> {
        if self.block.widths.is_empty() {
            self.block.least = zigzag(&mut self.rest)?;
            self.block.widths = take(&mut self.rest, self.miniblocks)?;
        }
        let (&width, widths) = self.block.widths.split_first().ok_or(LAYOUT)?;
        if width > 64 {
            return Err(LAYOUT);
        }
        let values = self.block_values / self.miniblocks as u64;
        let bytes = usize::try_from(values / 8 * u64::from(width)).map_err(|_| ENDS)?;
        // The last one may be cut short behind the last number.
        let bytes = bytes.min(self.rest.len());
        let miniblock = take(&mut self.rest, bytes)?;
        self.block = Block {
            least: self.block.least,
            widths,
            miniblock,
            width: width.into(),
            at: 0,
            values,
        };
        Ok(())
    }

    /// What follows the numbers.
    fn rest(mut self) -> Result<&'a [u8], Damaged> {
        while self.next()?.is_some() {}
        Ok(self.rest)
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Damaged> {
    let (head, tail) = bytes.split_at_checked(length).ok_or(ENDS)?;
    *bytes = tail;
    Ok(head)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(LAYOUT)
}

fn zigzag(bytes: &mut &[u8]) -> Result<i64, Damaged> {
    let raw = varint(bytes)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 1000;

    /// `count` numbers from `first` on, each the same `delta` more.
    fn numbers(count: u8, first: u8, delta: u8) -> Vec<u8> {
        assert!(count > 1 && count < 64 && first < 64 && delta < 64);
        vec![128, 1, 4, count, first * 2, delta * 2, 0, 0, 0, 0]
    }

    #[test]
    fn texts_are_counted_with_what_they_share() {
        // "abcd", "abcdefgh", "abcdefghijkl": 4, 8 and 12 bytes.
        let page = [numbers(3, 0, 4), numbers(3, 4, 0), vec![b'a'; 12]].concat();
        assert_eq!(decoded_bytes(&page, 9, MOST), Ok(24 + 3 * 8));
    }

    #[test]
    fn packed_deltas_are_read() {
        // 0, 1, 1, 2: deltas 1, 0, 1 in one bit each, lowest first.
        let mut prefixes = vec![128, 1, 4, 4, 0, 0, 1, 0, 0, 0];
        prefixes.extend([0b101, 0, 0, 0]);
        let page = [prefixes, numbers(4, 1, 0), vec![b'a'; 4]].concat();
        let lengths = 4 * 8;
        assert_eq!(decoded_bytes(&page, 9, MOST), Ok(1 + 2 + 2 + 3 + lengths));
    }

    #[test]
    fn lengths_are_counted_and_looked_at() {
        let page = |first, delta| [numbers(3, first, delta), vec![b'a'; 12]].concat();
        assert_eq!(length_bytes(&page(2, 2), 9, MOST), Ok(3 * 4));
        assert_eq!(length_bytes(&page(2, 3), 9, MOST), Err(BEYOND));
        assert_eq!(length_bytes(&page(2, 2), 2, MOST), Err(MORE));
        // -1 as the first, and as the difference.
        let negative = vec![128, 1, 4, 2, 1, 1, 0, 0, 0, 0];
        assert_eq!(length_bytes(&negative, 9, MOST), Err(NEGATIVE));
    }

    #[test]
    fn lengths_that_take_too_much_are_not_looked_at() {
        // 2^31 of them, all 0, for which there are no blocks.
        let page = [128, 1, 4, 0x80, 0x80, 0x80, 0x80, 8, 0];
        let values = 1 << 31;
        assert_eq!(length_bytes(&page, values, MOST), Ok(values * 4));
        assert_eq!(decoded_bytes(&page, values, MOST), Ok(values * 8));
        assert_eq!(length_bytes(&page, values - 1, MOST), Err(MORE));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let text = || vec![b'a'; 12];
        for (page, problem) in [
            (
                [numbers(3, 1, 0), numbers(3, 4, 0), text()].concat(),
                LONGER,
            ),
            (
                [numbers(3, 0, 5), numbers(3, 4, 0), text()].concat(),
                LONGER,
            ),
            (
                [numbers(3, 0, 4), numbers(3, 5, 0), text()].concat(),
                BEYOND,
            ),
            (
                [numbers(3, 0, 4), numbers(4, 4, 0), text()].concat(),
                COUNTS,
            ),
            (numbers(3, 0, 4), ENDS),
            (vec![127, 1, 4, 3, 0], LAYOUT),
            (
                [numbers(10, 0, 4), numbers(10, 4, 0), text()].concat(),
                MORE,
            ),
        ] {
            assert_eq!(decoded_bytes(&page, 9, MOST), Err(problem), "{page:?}");
        }
    }
}
