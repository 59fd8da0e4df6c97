//! Text with escapes, and byte strings.
//!
//! Text is copied in blocks, and each block is looked at as a whole: only one
//! that holds a character to escape is done byte by byte. The compiler turns
//! the look into vector instructions of whatever the target has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::buffer::{part, put, reserve, window};
use crate::options::Binary;

const BLOCK: usize = 32;
/// `\u00XX`
const LONGEST_ESCAPE: usize = 6;

/// Views hold text up to this length themselves.
const MAX_INLINE: usize = 12;

/// What an escaped byte becomes behind the backslash; 0 for the others.
static ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Or-ed to a block, the bytes from `BLOCK - n` on leave its first n bytes as
/// they are and make the others look harmless.
static BEYOND: [u8; 2 * BLOCK] = {
    let mut mask = [0; 2 * BLOCK];
    let mut index = BLOCK;
    while index < 2 * BLOCK {
        mask[index] = 0x80;
        index += 1;
    }
    mask
};

/// The same for the two words of a view's text, by its length.
static BEYOND_INLINE: [[u64; 2]; MAX_INLINE + 1] = {
    let mut masks = [[0; 2]; MAX_INLINE + 1];
    let mut length = 0;
    while length <= MAX_INLINE {
        let mut index = length;
        while index < 16 {
            masks[length][index / 8] |= 0x80 << (index % 8 * 8);
            index += 1;
        }
        length += 1;
    }
    masks
};

/// Whether one of the eight bytes is a control character, `"` or `\\`.
#[inline(always)]
fn word_needs_escape(word: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;

    // Sets the high bit of each byte below the limit; what borrowing adds to
    // bytes above such a one does not matter here.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
    let quote = below(word ^ (EACH * b'"' as u64), 1);
    let backslash = below(word ^ (EACH * b'\\' as u64), 1);
    (below(word, 0x20) | quote | backslash) & (EACH * 0x80) != 0
}

#[inline(always)]
fn needs_escape<const N: usize>(block: &[u8; N]) -> bool {
    let mut found = false;
    for &byte in block {
        found |= (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    }
    found
}

/// Writes the text of a view, which `data` returns the buffer of.
#[inline(always)]
pub(super) fn view<'a>(
    view: u128,
    data: impl FnOnce(usize) -> &'a [u8],
    out: &mut Vec<u8>,
    at: usize,
) -> usize {
    let length = view as u32 as usize;
    if length > MAX_INLINE {
        let (buffer, offset) = ((view >> 64) as u32, (view >> 96) as u32);
        let data = &data(buffer as usize)[offset as usize..];
        return quoted(data, length, out, at);
    }
    // Two words and not one vector: the halves of a view come from registers,
    // and a vector would have to wait for their way through memory.
    let (low, high) = ((view >> 32) as u64, (view >> 96) as u64);
    let text = window::<32>(out, at);
    text[0] = b'"';
    *part(text, 1) = low.to_le_bytes();
    *part(text, 9) = high.to_le_bytes();
    text[1 + length] = b'"';
    let [beyond_low, beyond_high] = BEYOND_INLINE[length];
    if word_needs_escape(low | beyond_low) || word_needs_escape(high | beyond_high) {
        let block = (view >> 32).to_le_bytes();
        let end = escaped(&block[..length], out, at + 1);
        return put(out, end, b"\"");
    }
    at + length + 2
}

#[inline(always)]
fn or<const N: usize>(block: &[u8; N], mask: &[u8; N]) -> [u8; N] {
    std::array::from_fn(|index| block[index] | mask[index])
}

/// Writes the first `length` bytes of `data` in quotes. What follows them, if
/// anything does, spares the last block a byte-wise copy.
#[inline(always)]
pub(super) fn quoted(data: &[u8], length: usize, out: &mut Vec<u8>, at: usize) -> usize {
    reserve(out, at, length + BLOCK + 2);
    out[at] = b'"';
    let mut at = at + 1;
    let mut done = 0;
    while done < length {
        let left = (length - done).min(BLOCK);
        let block: [u8; BLOCK] = match data.get(done..done + BLOCK) {
            Some(block) => block.try_into().expect("a block has its length"),
            None => last_block(&data[done..length]),
        };
        *part(out, at) = block;
        let mask: &[u8; BLOCK] = BEYOND[BLOCK - left..][..BLOCK]
            .try_into()
            .expect("32 bytes");
        if needs_escape(&or(&block, mask)) {
            at = escaped(&block[..left], out, at);
            reserve(out, at, length - done + BLOCK + 1);
        } else {
            at += left;
        }
        done += left;
    }
    out[at] = b'"';
    at + 1
}

#[cold]
#[inline(never)]
fn last_block(text: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..text.len()].copy_from_slice(text);
    block
}

/// Writes `text`, at most a block of it, byte by byte.
#[inline(never)]
fn escaped(text: &[u8], out: &mut Vec<u8>, at: usize) -> usize {
    const HEX: &[u8; 16] = b"0123456789abcdef";

    reserve(out, at, text.len() * LONGEST_ESCAPE);
    let mut at = at;
    for &byte in text {
        match ESCAPES[usize::from(byte)] {
            0 => {
                out[at] = byte;
                at += 1;
            }
            b'u' => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
                *part(out, at) = [b'\\', b'u', b'0', b'0', high, low];
                at += LONGEST_ESCAPE;
            }
            letter => {
                *part(out, at) = [b'\\', letter];
                at += 2;
            }
        }
    }
    at
}

/// Writes a byte string.
pub(super) fn bytes(value: &[u8], binary: Binary, out: &mut Vec<u8>, at: usize) -> usize {
    let length = match binary {
        Binary::Base64 => value.len().div_ceil(3) * 4,
        Binary::Hex => value.len() * 2,
    };
    reserve(out, at, length + 2);
    let text = &mut out[at..at + length + 2];
    text[0] = b'"';
    text[length + 1] = b'"';
    let text = &mut text[1..=length];
    match binary {
        Binary::Base64 => {
            STANDARD
                .encode_slice(value, text)
                .expect("three bytes take four characters");
        }
        Binary::Hex => put_hex(value, text),
    }
    at + length + 2
}

fn put_hex(value: &[u8], text: &mut [u8]) {
    for (pair, &byte) in text.chunks_exact_mut(2).zip(value) {
        // Both digits at once: letters are 39 behind the digits.
        let digits = (u16::from(byte >> 4)) | (u16::from(byte & 15) << 8);
        let letters = ((digits + 0x0606) >> 4) & 0x0101;
        pair.copy_from_slice(&(digits + 0x3030 + letters * 39).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serde(text: &str) -> Vec<u8> {
        serde_json::to_vec(text).unwrap()
    }

    #[test]
    fn every_byte_at_every_place_is_escaped_as_serde_json_does() {
        for length in 0..100 {
            for place in 0..length {
                for byte in 0..=0x7f_u8 {
                    let mut text = "x".repeat(length).into_bytes();
                    text[place] = byte;
                    let expected = serde(std::str::from_utf8(&text).unwrap());
                    for beyond in ["", "\"\"\"", "\u{1}\"................................"] {
                        let data = [&text, beyond.as_bytes()].concat();
                        let mut out = Vec::new();
                        let end = quoted(&data, length, &mut out, 0);
                        assert_eq!(out[..end], expected);
                    }
                }
            }
        }
    }

    #[test]
    fn inline_views_are_escaped_as_serde_json_does() {
        for length in 0..=MAX_INLINE {
            for place in 0..length {
                for byte in 0..=0x7f_u8 {
                    let mut text = "x".repeat(length).into_bytes();
                    text[place] = byte;
                    let mut bytes = [0; 16];
                    bytes[0] = u8::try_from(length).unwrap();
                    bytes[4..4 + length].copy_from_slice(&text);
                    let mut out = Vec::new();
                    let end = view(u128::from_le_bytes(bytes), |_| &[], &mut out, 0);
                    assert_eq!(out[..end], serde(std::str::from_utf8(&text).unwrap()));
                }
            }
        }
    }

    #[test]
    fn text_of_nothing_but_escapes_finds_its_room() {
        for text in ["\u{1}".repeat(1000), "\"".repeat(1000), "é\n".repeat(500)] {
            let mut out = vec![0; 40];
            let end = quoted(text.as_bytes(), text.len(), &mut out, 7);
            assert_eq!(out[7..end], serde(&text));
        }
    }

    #[test]
    fn every_byte_has_its_hexadecimal_digits() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        let end = bytes(&all, Binary::Hex, &mut out, 0);
        let expected: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(out[..end], *format!("\"{expected}\"").as_bytes());
    }
}
