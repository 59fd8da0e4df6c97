//! The port to object storage, and what every adapter promises.
//!
//! A [`Store`] is one folder of objects: a bucket below a key prefix, or a
//! directory of the local file system. Keys are relative to it. The commit
//! protocol is written against this trait alone; [`conformance`] checks an
//! adapter's promises from outside.
//!
//! # Guarantees of every adapter
//! - An object appears whole or not at all, and its attributes with it.
//! - [`Precondition`]s of [`Store::put`] are atomic: of several writers with
//!   [`Precondition::Absent`] exactly one succeeds.
//! - A listing shows every object whose write was acknowledged before it began.

pub mod conformance;
mod error;
pub mod local;
mod pages;
pub mod s3;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use etl_contract::{Storage, Tag};
use jiff::Timestamp;

pub use error::{Kind, StoreError};
pub use pages::list_all;

use crate::uri::Root;

/// What is known about an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Key below the store's root.
    pub key: String,
    /// Identity of the content, as the store spells it.
    pub etag: String,
    /// Version, in a store that keeps several.
    pub version: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Last modification.
    pub modified: Option<Timestamp>,
    /// User metadata with lower-case keys. Listings leave it empty.
    pub metadata: BTreeMap<String, String>,
    /// CRC-64/NVME of the content, if the store keeps it.
    pub crc64: Option<u64>,
}

/// One page of a listing, in key order.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Object>,
    /// Token of the following page; `None` on the last.
    pub next: Option<String>,
}

/// Which content of a key is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pin {
    /// Fail with [`Kind::PreconditionFailed`] if the object has another etag.
    pub etag: Option<String>,
    /// Read this version.
    pub version: Option<String>,
}

/// What must be true at the moment a write takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    Any,
    /// No object at the key.
    Absent,
    /// The object at the key has this etag.
    Match(String),
}

/// What an object carries besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// User metadata; keys in lower case, values in printable ASCII.
    pub metadata: BTreeMap<String, String>,
    /// Media type.
    pub content_type: Option<&'static str>,
    /// Storage class; the bucket's default when unset.
    pub storage_class: Option<String>,
    /// Object tags.
    pub tags: Vec<Tag>,
}

/// Name of an unfinished multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadId(pub String);

/// Where a part belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Number of the part, from 1.
    pub number: u32,
    /// Offset of its first byte in the object.
    pub offset: u64,
}

/// A part that the store has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Number of the part, from 1.
    pub number: u32,
    /// Etag of the part.
    pub etag: String,
    /// Size in bytes.
    pub size: u64,
    /// CRC-64/NVME of the part.
    pub crc64: u64,
}

/// An upload that somebody began and did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingUpload {
    /// Its name.
    pub id: UploadId,
    /// When it began, by the store's clock.
    pub started: Timestamp,
}

/// A folder of objects; see the module documentation.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Full URI of a key, for people and for provenance.
    fn uri(&self, key: &str) -> String;

    /// Looks at an object.
    async fn head(&self, key: &str, pin: &Pin) -> Result<Object, StoreError>;

    /// Lists the objects whose key begins with `prefix`; `page` is the token of
    /// the preceding page.
    async fn list(&self, prefix: &str, page: Option<&str>) -> Result<Page, StoreError>;

    /// Reads an object, or the bytes `range` of it. Never returns fewer bytes
    /// than asked for.
    async fn get(
        &self,
        key: &str,
        pin: &Pin,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, StoreError>;

    /// Writes an object and returns its etag.
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        attributes: &Attributes,
        condition: &Precondition,
    ) -> Result<String, StoreError>;

    /// Begins an object that is written in parts.
    async fn begin_upload(
        &self,
        key: &str,
        attributes: &Attributes,
    ) -> Result<UploadId, StoreError>;

    /// Writes one part; parts may be written at once and in any order.
    async fn put_part(
        &self,
        key: &str,
        upload: &UploadId,
        slot: Slot,
        body: Bytes,
    ) -> Result<Part, StoreError>;

    /// Makes the object from its parts (all of them, in order) and returns its
    /// etag. `crc64` is the CRC-64/NVME of the whole.
    ///
    /// # Caveats
    /// Not every S3 implementation evaluates `condition` atomically here, so
    /// it guards and does not decide: look at the object afterwards. Two owners
    /// who race for one key need a store that does.
    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        crc64: u64,
        condition: &Precondition,
    ) -> Result<String, StoreError>;

    /// Forgets an unfinished upload and its parts. An unknown upload is fine.
    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<(), StoreError>;

    /// Unfinished uploads of exactly this key.
    async fn uploads(&self, key: &str) -> Result<Vec<PendingUpload>, StoreError>;
}

/// Opens the store behind a root.
pub async fn open(root: &Root, storage: &Storage) -> Result<Arc<dyn Store>, StoreError> {
    match root {
        Root::S3 { bucket, prefix } => Ok(Arc::new(
            s3::S3Store::connect(bucket, prefix, storage).await?,
        )),
        Root::File { folder } => Ok(Arc::new(local::LocalStore::new(folder.clone()))),
    }
}

/// CRC-64/NVME of `bytes`, the checksum that S3 keeps for whole objects.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}
