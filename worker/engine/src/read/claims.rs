//! What reading a row group page by page may hold, kept exactly.
//!
//! The footer does not say how large pages are. So room is set aside by an
//! estimate, and each column claims what its pages really take when it meets
//! them. A claim is never given back while the row group is read: that makes the
//! outcome a matter of the file and not of the order in which threads run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::header::{Header, PageKind};
use crate::error::{Error, Place};

/// A decoded value of a text dictionary is a view of this size.
const VIEW_BYTES: u64 = 16;

/// Memory for one page once it is decompressed.
pub(super) fn page_bytes(header: &Header, is_text: bool) -> u64 {
    let plain = header.plain as u64;
    match header.page {
        PageKind::Dictionary { values, .. } if is_text => plain + u64::from(values) * VIEW_BYTES,
        // Decoded beside the page.
        PageKind::Dictionary { .. } => 2 * plain,
        // Batches on their way refer to the text of the page before.
        _ if is_text => 2 * plain,
        _ => plain,
    }
}

/// The memory of one row group's pages.
#[derive(Debug)]
pub(crate) struct Claims {
    /// Memory of everything else, without the windows.
    beside_bytes: u64,
    /// What the pages were thought to take.
    estimate_bytes: u64,
    budget_bytes: u64,
    /// A budget that would do because the row group could be read as a whole.
    whole_bytes: Option<u64>,
    /// Readers that may each have a page in hand as it is stored.
    readers: u64,
    pages: AtomicU64,
    largest_stored: AtomicU64,
}

impl Claims {
    pub(crate) fn new(
        beside_bytes: u64,
        estimate_bytes: u64,
        budget_bytes: u64,
        whole_bytes: Option<u64>,
        readers: u64,
    ) -> Self {
        Self {
            beside_bytes,
            estimate_bytes,
            budget_bytes,
            whole_bytes,
            readers,
            pages: AtomicU64::new(0),
            largest_stored: AtomicU64::new(0),
        }
    }

    /// The same, of which nothing is claimed yet.
    pub(super) fn afresh(&self) -> Self {
        Self {
            pages: AtomicU64::new(0),
            largest_stored: AtomicU64::new(0),
            ..*self
        }
    }

    /// Bytes for windows: half of what the estimate leaves. The other half is
    /// for pages that are larger than thought.
    pub(crate) fn window_bytes(&self) -> u64 {
        let taken = self.beside_bytes.saturating_add(self.estimate_bytes);
        self.budget_bytes.saturating_sub(taken) / 2
    }

    fn limit(&self) -> u64 {
        self.budget_bytes
            .saturating_sub(self.beside_bytes)
            .saturating_sub(self.window_bytes())
    }

    fn raise(&self, by: u64, stored: u64, place: &Place) -> Result<(), Error> {
        let pages = self.pages.fetch_add(by, Ordering::Relaxed) + by;
        let largest = self
            .largest_stored
            .fetch_max(stored, Ordering::Relaxed)
            .max(stored);
        let claimed = pages.saturating_add(largest.saturating_mul(self.readers));
        if claimed <= self.limit() {
            return Ok(());
        }
        // The budget whose limit that is.
        let more_than_thought = claimed.saturating_sub(self.estimate_bytes);
        let needed = self
            .beside_bytes
            .saturating_add(claimed)
            .saturating_add(more_than_thought);
        Err(Error::NotEnoughMemory {
            place: Place {
                row_group: place.row_group,
                column: place.column.clone(),
                offset: None,
            },
            needed: self.whole_bytes.map_or(needed, |whole| needed.min(whole)),
            budget: self.budget_bytes,
        })
    }
}

/// One column's part in them.
pub(super) struct Claim {
    claims: Arc<Claims>,
    is_text: bool,
    dictionary: u64,
    largest: u64,
}

impl Claim {
    pub(super) fn new(claims: Arc<Claims>, is_text: bool) -> Self {
        Self {
            claims,
            is_text,
            dictionary: 0,
            largest: 0,
        }
    }

    /// Claims the memory of a page before any of it is taken, or once it is known
    /// that its texts take `decoded` bytes beside it.
    pub(super) fn raise(
        &mut self,
        header: &Header,
        decoded: u64,
        place: &Place,
    ) -> Result<(), Error> {
        // Batches refer to the texts of two pages, as in `page_bytes`.
        let pages = if self.is_text { 2 } else { 1 };
        let bytes = page_bytes(header, self.is_text).saturating_add(decoded.saturating_mul(pages));
        let held = match header.page {
            PageKind::Dictionary { .. } => &mut self.dictionary,
            _ => &mut self.largest,
        };
        let by = bytes.saturating_sub(*held);
        *held += by;
        // As it is stored it may have to be put together from windows.
        self.claims.raise(by, header.stored as u64, place)
    }
}

#[cfg(test)]
mod tests {
    use parquet::basic::Encoding;

    use super::*;

    #[test]
    fn the_memory_that_a_refusal_asks_for_is_enough() {
        for (beside, estimate, budget, claim) in
            [(100, 50, 200, 400), (0, 0, 10, 11), (100, 90, 100, 91)]
        {
            let refused = Claims::new(beside, estimate, budget, None, 2);
            let refused = refused.raise(claim - 4, 2, &Place::file());
            let Err(Error::NotEnoughMemory { needed, .. }) = refused else {
                panic!("{refused:?}")
            };
            let place = Place::file();
            let enough = Claims::new(beside, estimate, needed, None, 2);
            assert!(enough.raise(claim - 4, 2, &place).is_ok());
            assert!(needed > budget);
        }
    }

    #[test]
    fn texts_are_claimed_beside_their_page_once() {
        let header = Header {
            page: PageKind::Data {
                values: 3,
                encoding: Encoding::DELTA_BYTE_ARRAY,
                definition: Encoding::RLE,
                repetition: Encoding::RLE,
            },
            length: 20,
            stored: 10,
            plain: 10,
            crc: None,
        };
        // Of 1000 bytes, half are for windows.
        let claims = Arc::new(Claims::new(0, 0, 1000, None, 1));
        let mut claim = Claim::new(claims, true);
        for (decoded, fits) in [(0, true), (235, true), (235, true), (236, false)] {
            let raised = claim.raise(&header, decoded, &Place::file());
            assert_eq!(raised.is_ok(), fits, "{decoded}");
        }
    }

    #[test]
    fn windows_and_pages_share_what_is_left() {
        let claims = Claims::new(100, 50, 250, None, 1);
        assert_eq!((claims.window_bytes(), claims.limit()), (50, 100));
        assert!(claims.raise(90, 10, &Place::file()).is_ok());
        assert!(claims.raise(0, 11, &Place::file()).is_err());
    }
}
