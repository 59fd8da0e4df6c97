//! Byte strings.

use std::io::Write;

use arrow_array::ArrayAccessor;
use arrow_json::Encoder;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::options::Binary;

struct BytesEncoder<A> {
    values: A,
    binary: Binary,
}

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Encoder for BytesEncoder<A> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let bytes = self.values.value(index);
        out.push(b'"');
        match self.binary {
            Binary::Base64 => {
                let start = out.len();
                out.resize(start + bytes.len().div_ceil(3) * 4, 0);
                STANDARD
                    .encode_slice(bytes, &mut out[start..])
                    .expect("three bytes take four characters");
            }
            Binary::Hex => {
                for byte in bytes {
                    write!(out, "{byte:02x}").expect("writing to memory cannot fail");
                }
            }
        }
        out.push(b'"');
    }
}

pub(super) fn bytes<'a, A>(values: A, binary: Binary) -> Box<dyn Encoder + 'a>
where
    A: ArrayAccessor<Item = &'a [u8]> + 'a,
{
    Box::new(BytesEncoder { values, binary })
}
