//! Reads that come back whole.
//!
//! A body that breaks off or stalls is continued where it ended, under the same
//! etag; a read that is late is asked for once more. Nothing is handed out but
//! exactly the bytes that were asked for.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep, timeout};

use super::S3Store;
use super::classify::{Effect, classify};
use super::convert::{ContentRange, content_range, parse_checksum, range_header};
use super::patience::{Pauses, patiently};
use crate::store::{Kind, Pin, Store, StoreError, crc64};

/// Answers to one read that may break off without having brought much. The SDK
/// repeats requests; this is about bodies, which it cannot repeat.
const TRIES: u32 = 4;

/// An answer that brought so much was not in vain.
const WORTH_BYTES: usize = 1 << 20;

/// A body of which nothing comes for so long has stalled.
const STALL: Duration = Duration::from_secs(10);

/// The largest buffer that is made on the word of an answer.
const TRUSTED_BYTES: u64 = 16 << 20;

/// Why an answer was of no use.
enum Failure {
    /// Another try may be better.
    Broken(StoreError),
    Final(StoreError),
}

impl S3Store {
    /// Sends a GET until it is answered.
    pub(super) async fn request(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<String>,
    ) -> Result<GetObjectOutput, StoreError> {
        self.client
            .get_object()
            .bucket(&self.bucket)
            .key(self.full(key))
            .set_version_id(pin.version.clone())
            .set_if_match(pin.etag.clone())
            .set_range(range)
            .set_expected_bucket_owner(self.expected_owner.clone())
            .send()
            .await
            .map_err(|error| classify(error, Effect::None, "read", self.uri(key)))
    }

    pub(super) async fn read(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        let Some(range) = range else {
            let mut transfer = Transfer::new(self, key, pin.clone(), None);
            transfer.run().await?;
            return Ok(transfer.buffer.freeze());
        };
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (bytes, started) = (range.end - range.start, Instant::now());
        let mut first = Transfer::new(self, key, pin.clone(), Some(range));
        let received = first.received.clone();
        let second = self.second(key, pin, first.range.clone(), &received);
        let overtaken = tokio::select! {
            outcome = first.run() => outcome.map(|()| None)?,
            overtaken = second => Some(overtaken),
        };
        match overtaken {
            Some((offset, rest)) if first.buffer.len() >= offset => {
                first.buffer.truncate(offset);
                first.buffer.extend_from_slice(&rest);
            }
            // It has had to begin anew meanwhile.
            Some(_) => first.run().await?,
            None => {}
        }
        self.recent.took(bytes, started.elapsed());
        Ok(first.buffer.freeze())
    }

    /// Asks once more for what a late read lacks, and returns from which offset
    /// on it has what. Never ends if the read is not late, or this one fails:
    /// then the first has to tell.
    async fn second(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
        received: &AtomicU64,
    ) -> (usize, BytesMut) {
        let range = range.unwrap_or_default();
        sleep(self.recent.patience(range.end - range.start)).await;
        if self.recent.spend() {
            let offset = received.load(Ordering::Relaxed);
            let missing = range.start + offset..range.end;
            tracing::debug!(
                uri = self.uri(key),
                ?missing,
                "A late read is asked for once more."
            );
            let mut transfer = Transfer::new(self, key, pin.clone(), Some(missing));
            if transfer.run().await.is_ok()
                && let Ok(offset) = usize::try_from(offset)
            {
                return (offset, transfer.buffer);
            }
        }
        std::future::pending().await
    }
}

/// One read on its way.
struct Transfer<'a> {
    store: &'a S3Store,
    key: &'a str,
    pin: Pin,
    /// What was asked for; the whole object if unset.
    range: Option<Range<u64>>,
    buffer: BytesMut,
    /// Length of the buffer, for others to see.
    received: std::sync::Arc<AtomicU64>,
    /// Bytes of the whole object, once an answer has told.
    size: Option<u64>,
    /// CRC-64/NVME of the whole object, if an answer has told.
    crc64: Option<u64>,
    /// Whether the pinned etag is the caller's, and not only that of the first
    /// answer.
    pinned: bool,
}

impl<'a> Transfer<'a> {
    fn new(store: &'a S3Store, key: &'a str, pin: Pin, range: Option<Range<u64>>) -> Self {
        Transfer {
            store,
            key,
            pinned: pin.etag.is_some(),
            pin,
            range,
            buffer: BytesMut::new(),
            received: Default::default(),
            size: None,
            crc64: None,
        }
    }

    fn broken(&self, detail: impl Into<String>) -> StoreError {
        StoreError::new(Kind::Unavailable, "read", self.store.uri(self.key), detail)
    }

    /// Reads on until all is there.
    async fn run(&mut self) -> Result<(), StoreError> {
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(4));
        let mut tries = 0;
        loop {
            let before = self.buffer.len();
            let error = match self.answer().await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Broken(error)) => error,
            };
            tries = if self.buffer.len() >= before + WORTH_BYTES {
                0
            } else {
                tries + 1
            };
            if tries >= TRIES {
                return Err(error);
            }
            tracing::warn!(%error, tries, "A read is continued.");
            pauses.wait().await;
        }
    }

    /// Asks for what is missing and takes the answer.
    async fn answer(&mut self) -> Result<(), Failure> {
        let (store, key) = (self.store, self.key);
        let missing = self.missing();
        let response = patiently(|| store.request(key, &self.pin, missing.clone()))
            .await
            .map_err(|error| self.refused(error))?;
        let end = self.check(&response)?;
        let mut body = response.body;
        loop {
            let frame = timeout(STALL, body.next()).await;
            let frame = frame.map_err(|_| Failure::Broken(self.broken("the answer stalled")))?;
            match frame {
                Some(Ok(frame)) if frame.len() <= end - self.buffer.len() => {
                    self.buffer.extend_from_slice(&frame);
                }
                Some(Ok(_)) => {
                    self.forget();
                    return Err(Failure::Broken(self.broken("the answer is too long")));
                }
                Some(Err(error)) => {
                    // With all its bytes there, it is the bytes that are wrong.
                    if self.buffer.len() == end {
                        self.forget();
                    }
                    let error = self.broken("the answer broke off").with_source(error);
                    return Err(Failure::Broken(error));
                }
                None => break,
            }
            self.received
                .store(self.buffer.len() as u64, Ordering::Relaxed);
        }
        if self.buffer.len() < end {
            let got = self.buffer.len();
            let detail = format!("the answer has {got} bytes instead of {end}");
            return Err(Failure::Broken(self.broken(detail)));
        }
        self.check_content()
    }

    /// The `Range` header for what is missing.
    fn missing(&self) -> Option<String> {
        let have = self.buffer.len() as u64;
        match &self.range {
            Some(range) => Some(range_header(&(range.start + have..range.end))),
            None if have > 0 => Some(format!("bytes={have}-")),
            None => None,
        }
    }

    /// An object that was replaced while it was read is begun anew, unless the
    /// caller wants this one and no other.
    fn refused(&mut self, error: StoreError) -> Failure {
        if error.kind() == Kind::PreconditionFailed && !self.pinned && self.pin.etag.is_some() {
            self.forget();
            return Failure::Broken(error);
        }
        Failure::Final(error)
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.received.store(0, Ordering::Relaxed);
        if !self.pinned {
            self.pin.etag = None;
        }
    }

    /// Checks that an answer is about what was asked for, and returns the length
    /// of the buffer when it is complete.
    fn check(&mut self, response: &GetObjectOutput) -> Result<usize, Failure> {
        let etag = response.e_tag();
        if let (Some(wanted), Some(found)) = (&self.pin.etag, etag)
            && wanted != found
        {
            return Err(Failure::Final(StoreError::new(
                Kind::PreconditionFailed,
                "read",
                self.store.uri(self.key),
                "the object is not the expected one",
            )));
        }
        let Some(ContentRange { range: told, size }) = covered(response) else {
            return Err(Failure::Broken(self.broken("the answer tells no length")));
        };
        if self.range.is_none() && told.start == 0 {
            // A store that continues nothing gives all once more.
            self.forget();
        }
        let wanted = match &self.range {
            Some(range) => range.clone(),
            None => 0..told.end,
        };
        let start = wanted.start + self.buffer.len() as u64;
        if told != (start..wanted.end) {
            let detail = format!(
                "the answer has bytes {}..{} instead of {start}..{}",
                told.start, told.end, wanted.end
            );
            return Err(Failure::Broken(self.broken(detail)));
        }
        if self.range.is_none() {
            self.learn(etag, size.unwrap_or(told.end), response)?;
        }
        let missing = told.end - told.start;
        self.buffer.reserve(missing.min(TRUSTED_BYTES) as usize);
        usize::try_from(wanted.end - wanted.start)
            .map_err(|_| Failure::Final(self.broken("the object does not fit into memory")))
    }

    /// What the first answer says about the whole, which later ones continue.
    fn learn(
        &mut self,
        etag: Option<&str>,
        size: u64,
        response: &GetObjectOutput,
    ) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            self.size = Some(size);
            self.crc64 = response.checksum_crc64_nvme().and_then(parse_checksum);
            self.pin.etag = self.pin.etag.take().or(etag.map(str::to_owned));
        } else if self.size != Some(size) || self.pin.etag.is_none() {
            self.forget();
            let detail = "the rest of the answer belongs to another object";
            return Err(Failure::Broken(self.broken(detail)));
        }
        Ok(())
    }

    /// Holds a whole object to its checksum: the SDK does so with an answer that
    /// came in one piece only.
    fn check_content(&mut self) -> Result<(), Failure> {
        if self.range.is_none()
            && let Some(wanted) = self.crc64
            && wanted != crc64(&self.buffer)
        {
            self.forget();
            return Err(Failure::Broken(self.broken("the answer is damaged")));
        }
        Ok(())
    }
}

/// Which bytes an answer says that it has.
fn covered(response: &GetObjectOutput) -> Option<ContentRange> {
    if let Some(text) = response.content_range() {
        return content_range(text);
    }
    let length = u64::try_from(response.content_length()?).ok()?;
    Some(ContentRange {
        range: 0..length,
        size: Some(length),
    })
}
