//! Memory for large outputs.

use std::sync::Arc;

use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

/// The right of one conversion to gather whole parts of its output; taken when
/// that turns out to be needed, kept to the end.
///
/// All writers of a conversion share it: if each had to get its own, two
/// conversions could wait for each other.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Semaphore>,
    part_bytes: usize,
    taken: OnceCell<Option<OwnedSemaphorePermit>>,
}

impl Slot {
    /// One of `slots`, not taken yet. It stands for `part_bytes` of parts on
    /// their way, and one more being filled.
    pub fn new(slots: Arc<Semaphore>, part_bytes: usize) -> Self {
        Slot {
            slots,
            part_bytes,
            taken: OnceCell::new(),
        }
    }

    /// Bytes of parts that may be on their way at once.
    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    /// Waits until the slot is taken.
    pub(super) async fn take(&self) {
        let slots = || Arc::clone(&self.slots);
        // Nobody closes the semaphore; if somebody did, there would be nothing
        // to wait for.
        self.taken
            .get_or_init(|| async move { slots().acquire_owned().await.ok() })
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_is_taken_once_and_given_back() {
        let slots = Arc::new(Semaphore::new(1));
        let slot = Slot::new(Arc::clone(&slots), 1);
        assert_eq!(slots.available_permits(), 1);
        tokio::join!(slot.take(), slot.take());
        assert_eq!(slots.available_permits(), 0);
        drop(slot);
        assert_eq!(slots.available_permits(), 1);
    }
}
