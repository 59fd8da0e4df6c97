//! A store in memory: every request is atomic, and tests see everything.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use etl_worker::store::{
    Attributes, Kind, Object, Page, Part, PendingUpload, Pin, Precondition, Slot, Store,
    StoreError, UploadId, crc64,
};
use jiff::Timestamp;

/// Objects per page of a listing: small, so that paging is exercised.
const PAGE: usize = 3;

#[derive(Clone, Debug)]
pub struct Stored {
    pub body: Bytes,
    pub attributes: Attributes,
    etag: String,
}

#[derive(Debug)]
struct Upload {
    key: String,
    attributes: Attributes,
    parts: BTreeMap<u32, (Slot, Bytes)>,
    started: Timestamp,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, Upload>,
    writes: u64,
    reads: u64,
    garbled: Option<String>,
}

#[derive(Clone, Debug)]
pub struct MemoryStore {
    name: &'static str,
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    pub fn new(name: &'static str) -> Self {
        MemoryStore {
            name,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// An independent store with the same content.
    pub fn fork(&self) -> Self {
        let objects = self.state().objects.clone();
        let state = State {
            objects,
            ..State::default()
        };
        MemoryStore {
            name: self.name,
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub fn insert(&self, key: &str, body: impl Into<Bytes>) {
        let mut state = self.state();
        let stored = state.stored(body.into(), Attributes::default());
        state.objects.insert(key.to_owned(), stored);
    }

    pub fn remove(&self, key: &str) {
        self.state()
            .objects
            .remove(key)
            .expect("the object to remove exists");
    }

    /// The next read of the object gives other bytes than it has.
    pub fn garble(&self, key: &str) {
        self.state().garbled = Some(key.to_owned());
    }

    pub fn stored(&self, key: &str) -> Option<Stored> {
        self.state().objects.get(key).cloned()
    }

    pub fn text(&self, key: &str) -> String {
        let stored = self
            .stored(key)
            .unwrap_or_else(|| panic!("no object {key}"));
        String::from_utf8(stored.body.to_vec()).unwrap()
    }

    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Keys that are not control objects.
    pub fn outputs(&self) -> Vec<String> {
        self.keys()
            .into_iter()
            .filter(|key| !key.starts_with("_etl/"))
            .collect()
    }

    pub fn pending_uploads(&self) -> usize {
        self.state().uploads.len()
    }

    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    fn error(&self, kind: Kind, operation: &'static str, key: &str) -> StoreError {
        StoreError::new(kind, operation, self.uri(key), format!("{kind:?}"))
    }
}

impl State {
    fn stored(&mut self, body: Bytes, attributes: Attributes) -> Stored {
        self.writes += 1;
        // Two writes never have the same etag, as with server-side encryption:
        // nothing may depend on equal bytes having equal etags.
        Stored {
            body,
            attributes,
            etag: format!("\"{:x}\"", self.writes),
        }
    }

    fn check(&self, key: &str, condition: &Precondition) -> Result<(), Kind> {
        let holds = match (condition, self.objects.get(key)) {
            (Precondition::Any, _) | (Precondition::Absent, None) => true,
            (Precondition::Match(etag), Some(stored)) => stored.etag == *etag,
            (Precondition::Absent, Some(_)) | (Precondition::Match(_), None) => false,
        };
        holds.then_some(()).ok_or(Kind::PreconditionFailed)
    }

    fn find(&self, key: &str, pin: &Pin) -> Result<&Stored, Kind> {
        let stored = self.objects.get(key).ok_or(Kind::NotFound)?;
        match &pin.etag {
            Some(etag) if *etag != stored.etag => Err(Kind::PreconditionFailed),
            _ => Ok(stored),
        }
    }
}

fn object(key: &str, stored: &Stored) -> Object {
    Object {
        key: key.to_owned(),
        etag: stored.etag.clone(),
        version: None,
        size: stored.body.len() as u64,
        modified: Some(Timestamp::UNIX_EPOCH),
        metadata: stored.attributes.metadata.clone(),
        crc64: Some(crc64(&stored.body)),
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn uri(&self, key: &str) -> String {
        format!("memory://{}/{key}", self.name)
    }

    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError> {
        let state = self.state();
        state
            .find(key, pin)
            .map(|stored| object(key, stored))
            .map_err(|kind| self.error(kind, "look at", key))
    }

    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, StoreError> {
        let state = self.state();
        let after = page.unwrap_or_default();
        let mut matching = state
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let objects: Vec<Object> = matching
            .by_ref()
            .take(PAGE)
            .map(|(key, stored)| Object {
                metadata: BTreeMap::new(),
                crc64: None,
                ..object(key, stored)
            })
            .collect();
        let more = matching.next().is_some();
        let next = objects
            .last()
            .filter(|_| more)
            .map(|object| object.key.clone());
        Ok(Page { objects, next })
    }

    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError> {
        // Lets racing tests interleave.
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.reads += 1;
        let garbled = state.garbled.take_if(|garbled| garbled == key).is_some();
        let stored = state
            .find(key, pin)
            .map_err(|kind| self.error(kind, "read", key))?;
        let bytes = match range {
            Some(range) => stored.body.slice(range.start as usize..range.end as usize),
            None => stored.body.clone(),
        };
        Ok(if garbled {
            vec![0; bytes.len()].into()
        } else {
            bytes
        })
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state
            .check(key, condition)
            .map_err(|kind| self.error(kind, "write", key))?;
        let stored = state.stored(body, attributes.clone());
        let etag = stored.etag.clone();
        state.objects.insert(key.to_owned(), stored);
        Ok(etag)
    }

    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError> {
        let mut state = self.state();
        state.writes += 1;
        let id = format!("upload-{}", state.writes);
        let (key, attributes) = (key.to_owned(), attributes.clone());
        let upload = Upload {
            key,
            attributes,
            parts: BTreeMap::new(),
            started: Timestamp::now(),
        };
        state.uploads.insert(id.clone(), upload);
        Ok(UploadId(id))
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError> {
        tokio::task::yield_now().await;
        let mut state = self.state();
        state.writes += 1;
        let part = Part {
            number: slot.number,
            etag: slot.number.to_string(),
            size: body.len() as u64,
            crc64: crc64(&body),
        };
        let Some(upload) = state.uploads.get_mut(&upload.0) else {
            return Err(self.error(Kind::NotFound, "write", key));
        };
        upload.parts.insert(slot.number, (slot, body));
        Ok(part)
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError> {
        let mut state = self.state();
        let Some(found) = state.uploads.get(&upload.0) else {
            return Err(self.error(Kind::NotFound, "write", key));
        };
        let mut body = Vec::new();
        for ((number, (slot, bytes)), part) in found.parts.iter().zip(parts) {
            assert_eq!((*number, slot.offset), (part.number, body.len() as u64));
            body.extend_from_slice(bytes);
        }
        assert_eq!(found.parts.len(), parts.len());
        assert_eq!(crc64(&body), crc, "the checksum of the whole");
        state
            .check(key, condition)
            .map_err(|kind| self.error(kind, "write", key))?;
        let attributes = state.uploads.remove(&upload.0).unwrap().attributes;
        let stored = state.stored(body.into(), attributes);
        let etag = stored.etag.clone();
        state.objects.insert(key.to_owned(), stored);
        Ok(etag)
    }

    async fn abort_upload(&self, _key: &str, upload: &UploadId) -> Result<(), StoreError> {
        let mut state = self.state();
        state.writes += 1;
        state.uploads.remove(&upload.0);
        Ok(())
    }

    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError> {
        let state = self.state();
        let of_key = state.uploads.iter().filter(|(_, upload)| upload.key == key);
        Ok(of_key
            .map(|(id, upload)| PendingUpload {
                id: UploadId(id.clone()),
                started: upload.started,
            })
            .collect())
    }
}
