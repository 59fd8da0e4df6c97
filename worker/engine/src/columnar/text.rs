//! Text. It is written where it belongs, unless all of a batch is so short and
//! plain that it goes through cells.

use arrow_array::StringViewArray;

use super::column::{Kernel, Kind, Values};
use super::digits::part;
use super::raw::{Slot, special};

/// Views hold text up to this length themselves.
const MAX_INLINE: u32 = 12;

/// Columns of text.
pub(super) fn kind(texts: &StringViewArray) -> Kind<'_> {
    if texts.views().iter().all(is_plain) {
        Kind::short(Plain(texts.views()))
    } else {
        Kind::Long(Values::View(texts))
    }
}

/// Whether a view holds its text itself and nothing in that needs an escape.
#[inline(always)]
fn is_plain(view: &u128) -> bool {
    // What is beyond the text is zeros, which look like control characters.
    const HIGH: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;

    let length = *view as u32;
    if length > MAX_INLINE {
        return false;
    }
    let text = (view >> 32) | (HIGH << (8 * length));
    special(text as u64) | special((text >> 64) as u64) == 0
}

/// Columns of text that is plain.
struct Plain<'a>(&'a [u128]);

impl Kernel for Plain<'_> {
    const ANY_VALUE: bool = true;

    #[inline(always)]
    fn write(&self, row: usize, slot: &mut Slot) -> usize {
        let view = self.0[row];
        let length = (view as u32).min(MAX_INLINE) as usize;
        slot[0] = b'"';
        *part(slot, 1) = ((view >> 32) as u64).to_le_bytes();
        *part(slot, 9) = ((view >> 96) as u32).to_le_bytes();
        slot[1 + length] = b'"';
        length + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_plain_if_it_is_short_and_has_nothing_to_escape() {
        for length in 0..16 {
            for place in 0..length {
                for byte in 0..=0x7f_u8 {
                    let mut text = vec![b'x'; length];
                    text[place] = byte;
                    let text = String::from_utf8(text).unwrap();
                    let views = StringViewArray::from_iter_values([&text]);
                    let escaped = byte < 0x20 || byte == b'"' || byte == b'\\';
                    let plain = is_plain(&views.views()[0]);
                    assert_eq!(plain, length <= 12 && !escaped, "{text:?}");
                    if plain {
                        let mut slot = [b'?'; 32];
                        let end = Plain(views.views()).write(0, &mut slot);
                        assert_eq!(slot[..end], *format!("\"{text}\"").as_bytes());
                    }
                }
            }
        }
    }

    #[test]
    fn what_points_to_a_longer_text_is_not_taken_for_one() {
        for length in [13, 15, 16, 100, u32::MAX] {
            let pointer = u128::from_le_bytes([b'x'; 16]) << 32;
            assert!(!is_plain(&(pointer | u128::from(length))));
        }
    }
}
