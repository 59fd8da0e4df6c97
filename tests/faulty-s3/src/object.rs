//! Objects as they are kept.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use jiff::Timestamp;

/// What an object carries besides its content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    /// Without the `x-amz-meta-` before the names.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) content_type: Option<String>,
    pub(crate) storage_class: Option<String>,
}

/// One version of an object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) body: Bytes,
    pub(crate) etag: String,
    pub(crate) crc64: u64,
    pub(crate) attributes: Attributes,
    pub(crate) modified: Timestamp,
    /// `None` for the one version in a bucket without versioning.
    pub(crate) version: Option<String>,
}

impl Object {
    /// An object that was written by one request.
    pub(crate) fn new(body: Bytes, attributes: Attributes) -> Self {
        let crc64 = crc64(&body);
        Object {
            etag: etag(crc64, body.len()),
            body,
            crc64,
            attributes,
            modified: Timestamp::now(),
            version: None,
        }
    }
}

/// Identity of a content. Not the MD5 of the real service, which costs more than
/// everything else here; nobody may rely on what an etag is.
pub(crate) fn etag(crc64: u64, bytes: usize) -> String {
    format!("\"{crc64:016x}{bytes:016x}\"")
}

pub(crate) fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes)
}

/// A checksum as it stands in headers.
pub(crate) fn checksum_text(crc64: u64) -> String {
    BASE64_STANDARD.encode(crc64.to_be_bytes())
}

pub(crate) fn parse_checksum(text: &str) -> Option<u64> {
    let bytes = BASE64_STANDARD.decode(text).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_as_s3_writes_them() {
        assert_eq!(checksum_text(crc64(b"123456789")), "rosUhgp5mIg=");
        assert_eq!(parse_checksum("rosUhgp5mIg="), Some(crc64(b"123456789")));
        assert_eq!(parse_checksum("AAAA"), None);
    }
}
