//! What each request does, and what it is answered.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::answer::{Answer, Refusal};
use crate::bucket::{Bucket, Condition, Named};
use crate::object::{Attributes, Object, checksum_text, crc64, parse_checksum};
use crate::request::{Call, Operation};
use crate::xml;

/// Keys on a page of a listing, unless fewer are asked for.
const PAGE_KEYS: usize = 1000;

const CHECKSUM: &str = "x-amz-checksum-crc64nvme";

pub(crate) type Buckets = BTreeMap<String, Bucket>;

/// Carries a request out. The answer to a HEAD has no body here either.
pub(crate) fn carry_out(buckets: &mut Buckets, call: &Call, body: Bytes) -> Answer {
    let outcome = match buckets.get_mut(&call.bucket) {
        None => Err(Refusal::NoSuchBucket),
        Some(bucket) => within(bucket, call, body),
    };
    let mut answer = outcome.unwrap_or_else(Refusal::answer);
    if matches!(
        call.operation,
        Operation::HeadObject | Operation::HeadBucket
    ) {
        answer.stated.get_or_insert(answer.body.len() as u64);
        answer.body = Bytes::new();
    }
    answer
}

fn within(bucket: &mut Bucket, call: &Call, body: Bytes) -> Result<Answer, Refusal> {
    match call.operation {
        Operation::GetObject | Operation::HeadObject => read(bucket, call),
        Operation::PutObject => {
            check_body(call, &body)?;
            let object = Object::new(body, attributes(call));
            let object = bucket.put(&call.key, object, &condition(call))?;
            Ok(written(Answer::new(200), &object).with("etag", &object.etag))
        }
        Operation::DeleteObject => {
            bucket.delete(&call.key);
            Ok(Answer::new(204))
        }
        Operation::CreateMultipartUpload => {
            let id = bucket.begin(&call.key, attributes(call));
            let body = xml::element("Key", &call.key) + &xml::element("UploadId", &id);
            Ok(result("InitiateMultipartUploadResult", &body))
        }
        Operation::UploadPart => {
            check_body(call, &body)?;
            let number = call.part_number().ok_or(Refusal::InvalidRequest)?;
            let part = bucket.put_part(&call.key, upload_id(call)?, number, body)?;
            Ok(Answer::new(200)
                .with("etag", &part.etag)
                .with(CHECKSUM, checksum_text(part.crc64)))
        }
        Operation::CompleteMultipartUpload => {
            let named = named(&body)?;
            let whole = call.header(CHECKSUM).and_then(parse_checksum);
            let (id, condition) = (upload_id(call)?, condition(call));
            let object = bucket.complete(&call.key, id, &named, whole, &condition)?;
            let body = xml::element("Key", &call.key)
                + &xml::element("ETag", &object.etag)
                + &xml::element("ChecksumCRC64NVME", &checksum_text(object.crc64));
            Ok(written(
                result("CompleteMultipartUploadResult", &body),
                &object,
            ))
        }
        Operation::AbortMultipartUpload => {
            bucket.abort(&call.key, upload_id(call)?)?;
            Ok(Answer::new(204))
        }
        Operation::ListObjects => list(bucket, call),
        Operation::ListMultipartUploads => list_uploads(bucket, call),
        Operation::HeadBucket => Ok(Answer::new(200)),
        Operation::Other => Err(Refusal::NotImplemented),
    }
}

fn result(name: &str, body: &str) -> Answer {
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    Answer::xml(
        200,
        &format!("<{name} xmlns=\"{namespace}\">{body}</{name}>"),
    )
}

fn upload_id(call: &Call) -> Result<&str, Refusal> {
    call.query("uploadId").ok_or(Refusal::InvalidRequest)
}

fn condition(call: &Call) -> Condition {
    Condition {
        if_match: call.header("if-match").map(str::to_owned),
        if_none_match: call.header("if-none-match") == Some("*"),
    }
}

fn attributes(call: &Call) -> Attributes {
    Attributes {
        metadata: call.headers_below("x-amz-meta-"),
        content_type: call.header("content-type").map(str::to_owned),
        storage_class: call.header("x-amz-storage-class").map(str::to_owned),
    }
}

/// Holds a body to its checksum.
fn check_body(call: &Call, body: &[u8]) -> Result<(), Refusal> {
    if call
        .header("content-encoding")
        .is_some_and(|encoding| encoding.contains("aws-chunked"))
    {
        return Err(Refusal::NotImplemented);
    }
    match call.header(CHECKSUM) {
        None => Ok(()),
        Some(text) if parse_checksum(text) == Some(crc64(body)) => Ok(()),
        Some(_) => Err(Refusal::BadDigest),
    }
}

fn written(answer: Answer, object: &Object) -> Answer {
    let answer = answer.with("x-amz-checksum-type", "FULL_OBJECT");
    match &object.version {
        Some(version) => answer.with("x-amz-version-id", version),
        None => answer,
    }
}

fn read(bucket: &Bucket, call: &Call) -> Result<Answer, Refusal> {
    let object = bucket.find(&call.key, call.query("versionId"))?;
    if call
        .header("if-match")
        .is_some_and(|wanted| wanted != object.etag)
    {
        return Err(Refusal::PreconditionFailed);
    }
    let size = object.body.len() as u64;
    let mut answer = match call.range(size) {
        None => {
            let mut answer = Answer::new(200);
            answer.body = object.body.clone();
            answer
        }
        Some(None) => return Err(Refusal::InvalidRange),
        Some(Some(range)) => {
            let last = range.end - 1;
            let mut answer = Answer::new(206).with(
                "content-range",
                format!("bytes {}-{last}/{size}", range.start),
            );
            answer.body = object.body.slice(range.start as usize..range.end as usize);
            answer
        }
    };
    answer = answer
        .with("etag", &object.etag)
        .with("accept-ranges", "bytes");
    if let Ok(modified) = DateTimePrinter::new().timestamp_to_rfc9110_string(&object.modified) {
        answer = answer.with("last-modified", modified);
    }
    if call.header("x-amz-checksum-mode").is_some() && answer.status == 200 {
        answer = answer
            .with(CHECKSUM, checksum_text(object.crc64))
            .with("x-amz-checksum-type", "FULL_OBJECT");
    }
    if let Some(version) = &object.version {
        answer = answer.with("x-amz-version-id", version);
    }
    for (name, value) in &object.attributes.metadata {
        answer = answer.with(&format!("x-amz-meta-{name}"), value);
    }
    for (name, value) in [
        ("content-type", &object.attributes.content_type),
        ("x-amz-storage-class", &object.attributes.storage_class),
    ] {
        if let Some(value) = value {
            answer = answer.with(name, value);
        }
    }
    Ok(answer)
}

fn named(body: &[u8]) -> Result<Vec<Named>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::MalformedXml)?;
    xml::contents(text, "Part")
        .into_iter()
        .map(|part| {
            let number = xml::text(part, "PartNumber").and_then(|text| text.parse().ok());
            Ok(Named {
                number: number.ok_or(Refusal::MalformedXml)?,
                etag: xml::text(part, "ETag").ok_or(Refusal::MalformedXml)?,
                crc64: xml::text(part, "ChecksumCRC64NVME")
                    .as_deref()
                    .and_then(parse_checksum),
            })
        })
        .collect()
}

fn list(bucket: &Bucket, call: &Call) -> Result<Answer, Refusal> {
    if call.query("delimiter").is_some() {
        return Err(Refusal::NotImplemented);
    }
    let prefix = call.query("prefix").unwrap_or_default();
    let after = call
        .query("continuation-token")
        .or(call.query("start-after"));
    let page = call
        .query("max-keys")
        .and_then(|keys| keys.parse().ok())
        .map_or(PAGE_KEYS, |keys: usize| keys.min(PAGE_KEYS));
    let mut objects = bucket.list(prefix, after).peekable();
    let mut body = String::new();
    let mut last = None;
    for (key, object) in objects.by_ref().take(page) {
        let entry = xml::element("Key", key)
            + &xml::element("LastModified", &object.modified.to_string())
            + &xml::element("ETag", &object.etag)
            + &xml::element("Size", &object.body.len().to_string());
        body += &format!("<Contents>{entry}</Contents>");
        last = Some(key);
    }
    let more = last.filter(|_| objects.peek().is_some());
    body += &xml::element("IsTruncated", if more.is_some() { "true" } else { "false" });
    if let Some(token) = more {
        body += &xml::element("NextContinuationToken", token);
    }
    Ok(result("ListBucketResult", &body))
}

fn list_uploads(bucket: &Bucket, call: &Call) -> Result<Answer, Refusal> {
    let prefix = call.query("prefix").unwrap_or_default();
    let mut uploads: Vec<_> = bucket
        .uploads
        .iter()
        .filter(|(_, upload)| upload.key.starts_with(prefix))
        .collect();
    uploads.sort_by_key(|(_, upload)| (upload.key.as_str(), upload.started));
    let mut body = String::new();
    for (id, upload) in uploads.into_iter().take(PAGE_KEYS) {
        let entry = xml::element("Key", &upload.key)
            + &xml::element("UploadId", id)
            + &xml::element("Initiated", &upload.started.to_string());
        body += &format!("<Upload>{entry}</Upload>");
    }
    body += &xml::element("IsTruncated", "false");
    Ok(result("ListMultipartUploadsResult", &body))
}
