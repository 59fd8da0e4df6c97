//! Names that stand before values which are not in cells.

use super::Out;

/// Bytes that are copied at once.
const HEAD: usize = 32;

/// What stands before a value: `,"name":`.
pub(in crate::columnar) struct Name {
    head: [u8; HEAD],
    tail: Box<[u8]>,
    length: usize,
}

impl Name {
    pub(in crate::columnar) fn new(text: &[u8]) -> Self {
        let (head, tail) = text.split_at(text.len().min(HEAD));
        let mut padded = [0; HEAD];
        padded[..head.len()].copy_from_slice(head);
        Self {
            head: padded,
            tail: tail.into(),
            length: text.len(),
        }
    }
}

impl Out {
    /// Writes a name.
    #[inline(always)]
    pub(in crate::columnar) fn put_name(&mut self, name: &Name) {
        self.reserve(HEAD + name.tail.len());
        let end = self.end();
        // SAFETY: there is room for the head and, right behind it, the tail. The
        // length is theirs together, or within the head if there is no tail.
        unsafe {
            end.cast::<[u8; HEAD]>().write_unaligned(name.head);
            if !name.tail.is_empty() {
                let tail = end.add(HEAD);
                tail.copy_from_nonoverlapping(name.tail.as_ptr(), name.tail.len());
            }
            self.set_end(end.add(name.length));
        }
    }
}
