//! How far this process is.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters of one process; they only grow.
#[derive(Debug, Default)]
pub struct Progress {
    rows: AtomicU64,
    objects_done: AtomicU64,
    objects_total: AtomicU64,
    bytes_read: AtomicU64,
}

/// The counters at one moment: one line of `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Rows of finished objects.
    pub rows: u64,
    /// Finished objects, those of earlier attempts included.
    pub objects_done: u64,
    /// Objects that are this process's to do; 0 until the plan is known.
    pub objects_total: u64,
    /// Bytes read from the source.
    pub bytes_read: u64,
}

impl Progress {
    /// The plan is known.
    pub fn planned(&self, objects: u64) {
        self.objects_total.store(objects, Ordering::Relaxed);
    }

    /// Bytes were read from the source.
    pub fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Objects are finished.
    pub fn finished(&self, objects: u64, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.objects_done.fetch_add(objects, Ordering::Relaxed);
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            rows: read(&self.rows),
            objects_done: read(&self.objects_done),
            objects_total: read(&self.objects_total),
            bytes_read: read(&self.bytes_read),
        }
    }
}
