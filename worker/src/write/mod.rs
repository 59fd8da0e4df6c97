//! Writing one output: look, upload, settle.
//!
//! Before and after every decision the object itself is looked at; what a
//! request seemed to say only decides whether to look again. An upload that
//! loses, or is interrupted, is aborted.

mod flights;
mod inlet;
mod parts;
mod receive;
mod slot;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use etl_contract::OnExisting;
use jiff::Timestamp;

use parts::MAX_PARTS;
pub use parts::PartSizes;
pub use receive::{Message, Written};
pub use slot::Slot;

use crate::control::is_settled_by_reading;
use crate::identity::{Provenance, Verdict};
use crate::store::{
    Attributes, Kind, Object, Part, Pin, Precondition, Store, StoreError, UploadId,
};

/// Rounds of writing and looking before an undecided answer is given up.
const ROUNDS: u32 = 4;

/// Why an output was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key holds an object that must not be replaced.
    #[error("{uri} is taken: {who}")]
    Taken {
        /// The output.
        uri: String,
        /// Whose object it is.
        who: String,
    },
    /// A newer run of the same owner wrote the key.
    #[error("a newer run has already written {uri}")]
    Superseded {
        /// The output.
        uri: String,
    },
    /// The same input and engine gave other bytes.
    #[error("{uri} was written by this run with {found} bytes, and now has {expected}")]
    Different {
        /// The output.
        uri: String,
        /// Bytes of the object.
        found: u64,
        /// Bytes of this conversion.
        expected: u64,
    },
    /// More parts than a multipart upload may have, of as many bytes as there is
    /// memory for.
    #[error(
        "{uri} does not fit {MAX_PARTS} parts of up to {part_mib} MiB, the largest that the \
         writer has memory for"
    )]
    TooLarge {
        /// The output.
        uri: String,
        /// The largest parts in MiB.
        part_mib: usize,
    },
    /// The conversion ended early; it knows why.
    #[error("the conversion to {uri} did not finish")]
    Unfinished {
        /// The output.
        uri: String,
    },
}

/// One output key and what belongs there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where to write.
    pub store: Arc<dyn Store>,
    /// Key below the store's root.
    pub key: String,
    /// Everything the object carries; includes the provenance's metadata.
    pub attributes: Attributes,
    /// Whose object it will be.
    pub provenance: Provenance,
    /// What may be replaced.
    pub on_existing: OnExisting,
    /// How an upload of it is cut.
    pub parts: PartSizes,
    /// Uploads of the key that began in this time belong to earlier attempts
    /// of the run, and are aborted.
    pub abandoned: Option<(Timestamp, Timestamp)>,
}

/// What was found at the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// The key may be written, on this condition.
    Write(Precondition),
    /// The output is there.
    Done(Object),
}

impl Target {
    fn uri(&self) -> String {
        self.store.uri(&self.key)
    }

    /// Looks at the key and judges what is there.
    pub async fn look(&self) -> Result<Look, WriteError> {
        let present = match self.store.head(&self.key, &Pin::default()).await {
            Ok(object) => Some(object),
            Err(error) if error.kind() == Kind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let verdict = self.provenance.judge(present.as_ref(), self.on_existing);
        match verdict {
            Verdict::Write(condition) => Ok(Look::Write(condition)),
            Verdict::Done => Ok(present.map_or(Look::Write(Precondition::Absent), Look::Done)),
            Verdict::Superseded => Err(WriteError::Superseded { uri: self.uri() }),
            Verdict::Taken(who) => Err(WriteError::Taken {
                uri: self.uri(),
                who,
            }),
        }
    }

    /// Checks that an object of this run holds what was converted now.
    fn verify(&self, object: &Object, bytes: u64, crc64: u64) -> Result<(), WriteError> {
        let same_content = object.crc64.is_none_or(|found| found == crc64);
        if object.size == bytes && same_content {
            return Ok(());
        }
        Err(WriteError::Different {
            uri: self.uri(),
            found: object.size,
            expected: bytes,
        })
    }

    /// Writes a small object by one request and returns its etag.
    async fn put(
        &self,
        body: Bytes,
        crc64: u64,
        mut condition: Precondition,
    ) -> Result<String, WriteError> {
        let mut round = 1;
        loop {
            let put = self
                .store
                .put(&self.key, body.clone(), &self.attributes, &condition)
                .await;
            let error = match put {
                Ok(etag) => return Ok(etag),
                Err(error) if is_settled_by_reading(error.kind()) => error,
                Err(error) => return Err(error.into()),
            };
            match self.look_again(round).await? {
                Look::Done(object) => {
                    self.verify(&object, body.len() as u64, crc64)?;
                    return Ok(object.etag);
                }
                Look::Write(_) if round >= ROUNDS => return Err(error.into()),
                Look::Write(next) => condition = next,
            }
            round += 1;
        }
    }

    /// Makes an object of uploaded parts and returns its etag. Aborts nothing.
    async fn complete(
        &self,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        mut condition: Precondition,
    ) -> Result<String, WriteError> {
        let bytes = parts.iter().map(|part| part.size).sum();
        let mut round = 1;
        loop {
            let outcome = self
                .store
                .complete_upload(&self.key, upload, parts, crc64, &condition)
                .await
                .map(|_etag| ());
            match &outcome {
                // A missing upload may be one that was completed unnoticed.
                Err(error)
                    if error.kind() != Kind::NotFound && !is_settled_by_reading(error.kind()) => {}
                _ => {
                    // Looked at after a success too: the condition is only a
                    // guard here, and another writer may have won.
                    match self.look_again(round).await? {
                        Look::Done(object) => {
                            self.verify(&object, bytes, crc64)?;
                            return Ok(object.etag);
                        }
                        Look::Write(next) => condition = next,
                    }
                }
            }
            let lost = || {
                let detail = "the object is missing although its upload was completed";
                StoreError::new(Kind::Unknown, "write", self.uri(), detail)
            };
            let error = outcome.err().unwrap_or_else(lost);
            // After a conflict, or without its upload, only a new upload helps.
            let retry = is_settled_by_reading(error.kind()) && error.kind() != Kind::Conflict;
            if !retry || round >= ROUNDS {
                return Err(error.into());
            }
            round += 1;
        }
    }

    /// [`look`](Self::look), after a pause that grows with the round.
    async fn look_again(&self, round: u32) -> Result<Look, WriteError> {
        if round > 1 {
            tokio::time::sleep(Duration::from_millis(100 << round)).await;
        }
        self.look().await
    }

    async fn abort(&self, upload: &UploadId) {
        if let Err(error) = self.store.abort_upload(&self.key, upload).await {
            tracing::warn!(%error, "An upload could not be aborted and is left to the bucket's lifecycle rule.");
        }
    }

    /// Aborts what earlier attempts of the run left behind. Failures are only
    /// told: storage that nobody can read is no reason to fail.
    async fn abort_abandoned(&self) {
        let Some((from, to)) = self.abandoned else {
            return;
        };
        match self.store.uploads(&self.key).await {
            Ok(uploads) => {
                for upload in uploads {
                    if (from..to).contains(&upload.started) {
                        self.abort(&upload.id).await;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "Uploads of earlier attempts cannot be listed."),
        }
    }
}
