//! Byte strings as base64 or hexadecimal digits.

use arrow_array::ArrayAccessor;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::column::Write;
use super::raw::Out;
use crate::options::Binary;

/// Columns of byte strings.
pub(super) struct ByteStrings<A>(pub(super) A, pub(super) Binary);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Write for ByteStrings<A> {
    fn write(&self, row: usize, out: &mut Out) {
        put(self.0.value(row), self.1, out);
    }
}

fn put(value: &[u8], binary: Binary, out: &mut Out) {
    out.put_byte(b'"');
    match binary {
        Binary::Base64 => {
            STANDARD
                .encode_slice(value, out.put_room(value.len().div_ceil(3) * 4))
                .expect("three bytes take four characters");
        }
        Binary::Hex => put_hex(value, out.put_room(value.len() * 2)),
    }
    out.put_byte(b'"');
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
    use super::super::raw::Level;
    use super::*;

    #[test]
    fn every_byte_has_its_hexadecimal_digits() {
        let all: Vec<u8> = (0..=255).collect();
        let mut out = Out::new(Vec::new(), Level::best());
        put(&all, Binary::Hex, &mut out);
        let expected: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(out.tail(0), format!("\"{expected}\"").as_bytes());
    }
}
