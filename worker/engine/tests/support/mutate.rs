//! Damage to a file, mostly of the kinds that checks have to notice: other
//! numbers where lengths, counts and offsets stand.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::ops::Range;

use super::draw::Draw;

/// `PAR1` at both ends and the footer's length.
const MAGIC_BYTES: usize = 4;
const TAIL_BYTES: usize = 8;

/// Where the pages and where the footer lies in a sound file.
pub(crate) fn regions(file: &[u8]) -> (Range<usize>, Range<usize>) {
    let end = file.len() - TAIL_BYTES;
    let length = file[end..end + 4].try_into().expect("4 bytes");
    let start = end - u32::from_le_bytes(length) as usize;
    (MAGIC_BYTES..start, start..end)
}

/// Damages a sound file in up to eight places, mostly in its pages.
pub(crate) fn mutate(file: &mut [u8], draw: &mut Draw<'_>) {
    let (pages, footer) = regions(file);
    for _ in 0..draw.below(9) {
        let part = if draw.one_in(6) || pages.is_empty() {
            &mut file[footer.clone()]
        } else {
            &mut file[pages.clone()]
        };
        damage(part, draw);
    }
}

fn damage(part: &mut [u8], draw: &mut Draw<'_>) {
    const BYTES: [u8; 8] = [0, 1, 2, 0x7e, 0x7f, 0x80, 0xfe, 0xff];
    let at = draw.below(part.len());
    let rest = &mut part[at..];
    let write = |rest: &mut [u8], bytes: &[u8]| {
        let length = bytes.len().min(rest.len());
        rest[..length].copy_from_slice(&bytes[..length]);
    };
    match draw.below(8) {
        0 | 1 => rest[0] ^= 1 << draw.below(8),
        2 | 3 => rest[0] = draw.byte(),
        4 => rest[0] = draw.choose(&BYTES),
        // 2^32 - 1, -1 or 2^35 - 1, depending on what is read there.
        5 => write(rest, &[0xff, 0xff, 0xff, 0xff, 0x7f]),
        6 => {
            let number = u32::try_from(draw.long() & 0x7fff_ffff).expect("it has 31 bits");
            write(rest, &number.to_le_bytes());
        }
        _ => {
            let length = draw.below(rest.len()).min(32);
            let from = draw.below(rest.len() - length + 1);
            rest.copy_within(from..from + length, 0);
        }
    }
}
