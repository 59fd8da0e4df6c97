//! JSON strings: text is copied while it is looked at, in vectors or words as
//! wide as the processor has them, up to the next character to escape.
//!
//! Every store is as wide as the load. What it writes beyond the text, or from
//! a character to escape on, is overwritten by what comes next.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_mask_cmpeq_epu8_mask,
    _mm256_mask_cmplt_epu8_mask, _mm256_maskz_loadu_epi8, _mm256_max_epu8, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_storeu_si256, _mm512_cmpeq_epu8_mask,
    _mm512_cmplt_epu8_mask, _mm512_loadu_si512, _mm512_set1_epi8, _mm512_storeu_si512,
};

use super::Out;
use super::level::Set;

/// `\u00XX`
const LONGEST_ESCAPE: usize = 6;
/// Room beyond the text still to write: the widest store, an escape, a quote.
const SPARE: usize = 64 + 8;
const WORD: usize = size_of::<u64>();

/// What an escaped byte becomes; the length comes last.
type Escape = [u8; 8];

static ESCAPES: [Escape; 256] = {
    const HEX: &[u8; 16] = b"0123456789abcdef";

    let mut table = [[0; 8]; 256];
    let mut control = 0;
    while control < 0x20 {
        let (high, low) = (HEX[control >> 4], HEX[control & 15]);
        let length = LONGEST_ESCAPE as u8;
        table[control] = [b'\\', b'u', b'0', b'0', high, low, 0, length];
        control += 1;
    }
    let letters = *b"\x08b\tt\nn\x0cf\rr\"\"\\\\";
    let mut index = 0;
    while index < letters.len() {
        table[letters[index] as usize] = [b'\\', letters[index + 1], 0, 0, 0, 0, 0, 2];
        index += 2;
    }
    table
};

impl Out {
    /// Writes `text` as a JSON string.
    #[inline(always)]
    pub(in crate::columnar) fn put_text(&mut self, text: &[u8]) {
        match self.level.set() {
            Set::Baseline => self.put_text_in_words(text),
            // SAFETY: the level says that the processor has the instructions.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { self.put_text_avx2(text) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { self.put_text_avx512(text) },
        }
    }

    #[inline(always)]
    fn open_text(&mut self, length: usize) -> *mut u8 {
        self.reserve(1 + length + SPARE);
        let end = self.end();
        // SAFETY: there is room for a byte.
        unsafe {
            end.write(b'"');
            end.add(1)
        }
    }

    /// # Safety
    /// As for [`Out::set_end`], and there is room for another byte.
    #[inline(always)]
    unsafe fn close_text(&mut self, end: *mut u8) {
        // SAFETY: as the caller says.
        unsafe {
            end.write(b'"');
            self.set_end(end.add(1));
        }
    }

    /// Writes `byte`, which needs an escape, to `end`, and returns where that
    /// ends, with room for `left` bytes of text.
    ///
    /// # Safety
    /// As for [`Out::set_end`], and there is room for a word.
    #[inline(always)]
    unsafe fn escape(&mut self, byte: u8, left: usize, end: *mut u8) -> *mut u8 {
        let escape = ESCAPES[usize::from(byte)];
        // SAFETY: there is room for a word, and no escape is longer.
        unsafe {
            end.cast::<Escape>().write_unaligned(escape);
            self.set_end(end.add(usize::from(escape[7])));
        }
        self.reserve(left + SPARE);
        self.end()
    }

    #[inline(never)]
    fn put_text_in_words(&mut self, text: &[u8]) {
        let end = self.open_text(text.len());
        // SAFETY: room for the whole text has just been reserved.
        unsafe { self.rest_in_words(text, 0, end) };
    }

    /// Writes the text from `done` on, and the quote behind it.
    ///
    /// # Safety
    /// As for [`Out::set_end`], and there is room for the rest of the text and
    /// [`SPARE`].
    #[inline(always)]
    unsafe fn rest_in_words(&mut self, text: &[u8], done: usize, end: *mut u8) {
        let (mut done, mut end) = (done, end);
        while done < text.len() {
            let left = text.len() - done;
            let word = word(text, done);
            // SAFETY: the room is a word more than the text that is left.
            unsafe { end.cast::<[u8; WORD]>().write_unaligned(word.to_le_bytes()) };
            let beyond = u64::MAX.checked_shl(8 * left.min(WORD) as u32).unwrap_or(0);
            let found = special(word | (beyond & (EACH * 0x80)));
            let clean = (found.trailing_zeros() / 8) as usize;
            let step = clean.min(left);
            done += step;
            // SAFETY: not more than has been written and has had room.
            end = unsafe { end.add(step) };
            if step < left.min(WORD) {
                // SAFETY: the spare room is more than a word.
                end = unsafe { self.escape(text[done], text.len() - done, end) };
                done += 1;
            }
        }
        // SAFETY: all of the text is written, and there is room to spare.
        unsafe { self.close_text(end) };
    }
}

const EACH: u64 = 0x0101_0101_0101_0101;

/// A word of `text` from `at` on; beyond the text are zeros.
#[inline(always)]
fn word(text: &[u8], at: usize) -> u64 {
    if let Some(word) = text[at..].first_chunk() {
        return u64::from_le_bytes(*word);
    }
    if let Some(word) = text.last_chunk() {
        // The last word of the text, without what is before `at`.
        return u64::from_le_bytes(*word) >> (8 * (WORD + at - text.len()));
    }
    let mut word = [0; WORD];
    word[..text.len() - at].copy_from_slice(&text[at..]);
    u64::from_le_bytes(word)
}

/// The high bit of the first byte that is a control character, `"` or `\`;
/// perhaps also of others behind it.
#[inline(always)]
pub(in crate::columnar) fn special(word: u64) -> u64 {
    // Sets the high bit of each byte below the limit. What borrowing adds comes
    // only above such a byte.
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
    let quote = below(word ^ (EACH * b'"' as u64), 1);
    let backslash = below(word ^ (EACH * b'\\' as u64), 1);
    (below(word, 0x20) | quote | backslash) & (EACH * 0x80)
}

#[cfg(target_arch = "x86_64")]
impl Out {
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn put_text_avx2(&mut self, text: &[u8]) {
        const WIDTH: usize = size_of::<__m256i>();

        let mut end = self.open_text(text.len());
        let mut done = 0;
        while text.len() - done >= WIDTH {
            // SAFETY: so many bytes are left of the text, and there is room for
            // more.
            let block = unsafe {
                let block = _mm256_loadu_si256(text.as_ptr().add(done).cast());
                _mm256_storeu_si256(end.cast(), block);
                block
            };
            let is = |byte: u8| _mm256_cmpeq_epi8(block, _mm256_set1_epi8(byte.cast_signed()));
            let last_control = _mm256_set1_epi8(0x1f);
            let control = _mm256_cmpeq_epi8(_mm256_max_epu8(block, last_control), last_control);
            let found = _mm256_or_si256(_mm256_or_si256(is(b'"'), is(b'\\')), control);
            let found = _mm256_movemask_epi8(found).cast_unsigned();
            let step = found.trailing_zeros() as usize;
            done += step;
            // SAFETY: a block has been written, and has had room.
            end = unsafe { end.add(step) };
            if step < WIDTH {
                // SAFETY: the spare room is more than a word.
                end = unsafe { self.escape(text[done], text.len() - done, end) };
                done += 1;
            }
        }
        // SAFETY: room has been reserved for the text, again after each escape.
        unsafe { self.rest_in_words(text, done, end) };
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,lzcnt")]
    fn put_text_avx512(&mut self, text: &[u8]) {
        const WIDTH: usize = size_of::<__m512i>();
        const HALF: usize = size_of::<__m256i>();

        let mut end = self.open_text(text.len());
        let mut done = 0;
        while done < text.len() {
            let left = text.len() - done;
            // SAFETY: `left` bytes of the text are left, and the loads take no
            // more; there is room for the widest store beyond the text.
            let (found, width) = unsafe {
                let from = text.as_ptr().add(done);
                if left >= WIDTH {
                    (copy_64(from, end), WIDTH)
                } else {
                    let width = left.min(HALF);
                    (copy_up_to_32(from, width, end).into(), width)
                }
            };
            let step = (found.trailing_zeros() as usize).min(width);
            done += step;
            // SAFETY: so much has been written, and has had room.
            end = unsafe { end.add(step) };
            if step < width {
                // SAFETY: the spare room is more than a word.
                end = unsafe { self.escape(text[done], text.len() - done, end) };
                done += 1;
            }
        }
        // SAFETY: all of the text is written, and there is room to spare.
        unsafe { self.close_text(end) };
    }
}

/// Copies 64 bytes and returns a bit for each that needs an escape.
///
/// # Safety
/// So many bytes can be read and written.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2")]
unsafe fn copy_64(from: *const u8, to: *mut u8) -> u64 {
    // SAFETY: as the caller says.
    let block = unsafe {
        let block = _mm512_loadu_si512(from.cast());
        _mm512_storeu_si512(to.cast(), block);
        block
    };
    _mm512_cmplt_epu8_mask(block, _mm512_set1_epi8(0x20))
        | _mm512_cmpeq_epu8_mask(block, _mm512_set1_epi8(b'"'.cast_signed()))
        | _mm512_cmpeq_epu8_mask(block, _mm512_set1_epi8(b'\\'.cast_signed()))
}

/// Copies `length` bytes, at most 32, and returns a bit for each that needs an
/// escape.
///
/// # Safety
/// So many bytes can be read, and 32 written.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,bmi2")]
unsafe fn copy_up_to_32(from: *const u8, length: usize, to: *mut u8) -> u32 {
    let mask = u32::MAX >> (32 - length);
    // SAFETY: the mask keeps the load within the length; the rest is as the
    // caller says.
    let block = unsafe {
        let block = _mm256_maskz_loadu_epi8(mask, from.cast());
        _mm256_storeu_si256(to.cast(), block);
        block
    };
    _mm256_mask_cmplt_epu8_mask(mask, block, _mm256_set1_epi8(0x20))
        | _mm256_mask_cmpeq_epu8_mask(mask, block, _mm256_set1_epi8(b'"'.cast_signed()))
        | _mm256_mask_cmpeq_epu8_mask(mask, block, _mm256_set1_epi8(b'\\'.cast_signed()))
}
