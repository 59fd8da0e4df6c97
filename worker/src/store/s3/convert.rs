//! Between the SDK's types and the port's.

use std::ops::Range;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::MultipartUpload;
use etl_contract::Tag;
use jiff::Timestamp;

use crate::encode::percent;
use crate::store::{Object, PendingUpload, UploadId};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn object(key: &str, head: &HeadObjectOutput) -> Result<Object, String> {
    let size = head
        .content_length()
        .and_then(|length| u64::try_from(length).ok())
        .ok_or("the store states no size")?;
    let etag = head
        .e_tag()
        .filter(|etag| !etag.is_empty())
        .ok_or("the store states no etag")?;
    Ok(Object {
        key: key.to_owned(),
        etag: etag.to_owned(),
        // "null" names the one version of an object that was written before
        // versioning; it can be asked for, but pins nothing that the etag does
        // not.
        version: head
            .version_id()
            .filter(|id| *id != "null")
            .map(str::to_owned),
        size,
        modified: head.last_modified().and_then(timestamp),
        metadata: head
            .metadata()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.to_ascii_lowercase(), value.clone()))
            .collect(),
        crc64: head.checksum_crc64_nvme().and_then(parse_checksum),
    })
}

/// `None` for a key outside the prefix. Nothing else may be left out: its rows
/// would be missing from the result.
pub(super) fn listed(
    entry: &aws_sdk_s3::types::Object,
    prefix: &str,
) -> Result<Option<Object>, String> {
    let full = entry
        .key()
        .ok_or("the store lists an object without a key")?;
    let Some(key) = full.strip_prefix(prefix) else {
        return Ok(None);
    };
    let size = entry
        .size()
        .and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| format!("the store states no size of {full}"))?;
    let etag = entry
        .e_tag()
        .filter(|etag| !etag.is_empty())
        .ok_or_else(|| format!("the store states no etag of {full}"))?;
    Ok(Some(Object {
        key: key.to_owned(),
        etag: etag.to_owned(),
        version: None,
        size,
        modified: entry.last_modified().and_then(timestamp),
        metadata: Default::default(),
        crc64: None,
    }))
}

pub(super) fn pending(upload: &MultipartUpload, full_key: &str) -> Option<PendingUpload> {
    if upload.key()? != full_key {
        return None;
    }
    Some(PendingUpload {
        id: UploadId(upload.upload_id()?.to_owned()),
        started: upload.initiated().and_then(timestamp)?,
    })
}

pub(super) fn range_header(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end.saturating_sub(1))
}

/// What a `Content-Range` header tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) range: Range<u64>,
    /// Bytes of the whole object, if they are known.
    pub(super) size: Option<u64>,
}

/// Parses `bytes FIRST-LAST/SIZE`; `None` if it says anything else.
pub(super) fn content_range(text: &str) -> Option<ContentRange> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    Some(ContentRange {
        range,
        size: size.parse().ok(),
    })
}

/// Tags in the form of a URL query.
pub(super) fn tagging(tags: &[Tag]) -> Option<String> {
    let pairs: Vec<String> = tags
        .iter()
        .map(|tag| format!("{}={}", percent(&tag.key, b""), percent(&tag.value, b"")))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

/// A CRC as S3 writes it: base64 of the big-endian bytes.
pub(super) fn checksum(crc: u64) -> String {
    // 64 bits are ten full sextets and one with 4 bits, then one '='.
    let mut text: String = (0..11)
        .map(|index| {
            let bits = u128::from(crc) << 2 >> (60 - 6 * index);
            char::from(BASE64[(bits & 63) as usize])
        })
        .collect();
    text.push('=');
    text
}

pub(super) fn parse_checksum(text: &str) -> Option<u64> {
    let sextets = text
        .strip_suffix('=')
        .filter(|sextets| sextets.len() == 11)?;
    let mut bits: u128 = 0;
    for byte in sextets.bytes() {
        let value = BASE64.iter().position(|candidate| *candidate == byte)?;
        bits = bits << 6 | value as u128;
    }
    u64::try_from(bits >> 2).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_as_s3_writes_them() {
        // The check value of CRC-64/NVME for "123456789" is 0xae8b14860a799888.
        let crc = crate::store::crc64(b"123456789");
        assert_eq!(crc, 0xae8b_1486_0a79_9888);
        assert_eq!(checksum(crc), "rosUhgp5mIg=");
        assert_eq!(checksum(0), "AAAAAAAAAAA=");
        assert_eq!(checksum(u64::MAX), "//////////8=");
        for crc in [0, 1, crc, u64::MAX] {
            assert_eq!(parse_checksum(&checksum(crc)), Some(crc));
        }
        assert_eq!(parse_checksum("rosUhgp5mIg"), None);
    }

    #[test]
    fn tags_are_a_query_string() {
        let tag = |key: &str, value: &str| Tag {
            key: key.into(),
            value: value.into(),
        };
        assert_eq!(tagging(&[]), None);
        assert_eq!(
            tagging(&[tag("team", "a&b"), tag("k=", "ü")]).as_deref(),
            Some("team=a%26b&k%3D=%C3%BC")
        );
    }

    #[test]
    fn ranges_are_inclusive_on_the_wire() {
        assert_eq!(range_header(&(10..20)), "bytes=10-19");
        let told = |range, size| Some(ContentRange { range, size });
        assert_eq!(content_range("bytes 10-19/50"), told(10..20, Some(50)));
        assert_eq!(content_range("bytes 10-19/*"), told(10..20, None));
        for text in ["", "bytes */50", "bytes 10/50", "items 1-2/3"] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
