//! A ledger with outages.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use etl_core::ledger::LedgerRecord;

use crate::ledger::{Ledger, LedgerError, Written};

#[derive(Default)]
pub struct FakeLedger {
    pub rows: Mutex<BTreeMap<String, LedgerRecord>>,
    pub down: Mutex<bool>,
    /// Rows that cannot be written, whatever happens.
    pub poisoned: Mutex<Vec<String>>,
    /// Rows that the ledger finds invalid.
    pub refused: Mutex<Vec<String>>,
    pub tries: Mutex<u32>,
}

impl FakeLedger {
    pub fn set_down(&self, down: bool) {
        *self.down.lock().unwrap() = down;
    }

    pub fn row(&self, file_id: &str) -> Option<LedgerRecord> {
        self.rows.lock().unwrap().get(file_id).cloned()
    }

    pub fn tries(&self) -> u32 {
        *self.tries.lock().unwrap()
    }
}

#[async_trait]
impl Ledger for FakeLedger {
    async fn write(&self, record: &LedgerRecord) -> Result<Written, LedgerError> {
        *self.tries.lock().unwrap() += 1;
        if *self.down.lock().unwrap() || self.poisoned.lock().unwrap().contains(&record.file_id) {
            return Err(LedgerError {
                file_id: record.file_id.clone(),
                code: "Transport".into(),
                message: "no route".into(),
                refused: false,
            });
        }
        if self.refused.lock().unwrap().contains(&record.file_id) {
            return Err(LedgerError {
                file_id: record.file_id.clone(),
                code: "ValidationException".into(),
                message: "the key is empty".into(),
                refused: true,
            });
        }
        let mut rows = self.rows.lock().unwrap();
        if rows
            .get(&record.file_id)
            .is_some_and(|row| row.revision >= record.revision)
        {
            return Ok(Written::Superseded);
        }
        rows.insert(record.file_id.clone(), record.clone());
        Ok(Written::Stored)
    }
}
