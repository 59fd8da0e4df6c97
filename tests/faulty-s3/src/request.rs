//! From a request line and headers to what is asked for.

use std::collections::BTreeMap;
use std::ops::Range;

use hyper::Method;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;

/// The operations that the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// GET of an object, or of a range of it.
    GetObject,
    /// HEAD of an object.
    HeadObject,
    /// PUT of a whole object.
    PutObject,
    /// DELETE of an object.
    DeleteObject,
    /// Begin of an upload in parts.
    CreateMultipartUpload,
    /// PUT of a part.
    UploadPart,
    /// End of an upload in parts.
    CompleteMultipartUpload,
    /// DELETE of an upload.
    AbortMultipartUpload,
    /// List of objects, version 2.
    ListObjects,
    /// List of unfinished uploads.
    ListMultipartUploads,
    /// HEAD of a bucket.
    HeadBucket,
    /// Anything else, which is answered with `NotImplemented`.
    Other,
}

impl Operation {
    /// Whether the operation may change something.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Operation::PutObject
            | Operation::DeleteObject
            | Operation::CreateMultipartUpload
            | Operation::UploadPart
            | Operation::CompleteMultipartUpload
            | Operation::AbortMultipartUpload => true,
            Operation::GetObject
            | Operation::HeadObject
            | Operation::ListObjects
            | Operation::ListMultipartUploads
            | Operation::HeadBucket
            | Operation::Other => false,
        }
    }
}

/// A request without its body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) bucket: String,
    pub(crate) key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

impl Call {
    #[cfg(test)]
    pub(crate) fn new(operation: Operation, bucket: &str, key: &str) -> Self {
        Call {
            operation,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            query: BTreeMap::new(),
            headers: BTreeMap::new(),
        }
    }

    pub(crate) fn parse(parts: &Parts) -> Self {
        let path = parts.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let query: BTreeMap<String, String> = form_urlencoded::parse(query).into_owned().collect();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        Call {
            operation: operation(&parts.method, key.is_empty(), |name| {
                query.contains_key(name)
            }),
            bucket: decode(bucket),
            key: decode(key),
            query,
            headers,
        }
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Headers whose name begins with `prefix`, without it.
    pub(crate) fn headers_below(&self, prefix: &str) -> BTreeMap<String, String> {
        self.headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix(prefix)?.to_owned(), value.clone()))
            })
            .collect()
    }

    /// The same request for the whole object.
    pub(crate) fn without_range(&self) -> Self {
        let mut call = self.clone();
        call.headers.remove("range");
        call
    }

    /// The same request for a range that begins and ends `bytes` later.
    pub(crate) fn with_range_later(&self, bytes: u64) -> Self {
        let mut call = self.clone();
        if let Some(Some(range)) = self.range(u64::MAX) {
            let (first, last) = (range.start + bytes, range.end - 1 + bytes);
            let later = format!("bytes={first}-{last}");
            call.headers.insert("range".to_owned(), later);
        }
        call
    }

    pub(crate) fn part_number(&self) -> Option<u32> {
        self.query("partNumber")?.parse().ok()
    }

    /// The asked range within an object of `size` bytes: `None` if the whole is
    /// asked for, `Some(None)` if there is nothing of it.
    pub(crate) fn range(&self, size: u64) -> Option<Option<Range<u64>>> {
        let (first, last) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let range = if first.is_empty() {
            let tail: u64 = last.parse().ok()?;
            size.saturating_sub(tail)..size
        } else {
            let end = last
                .parse()
                .map_or(u64::MAX, |last: u64| last.saturating_add(1));
            first.parse().ok()?..end.min(size)
        };
        Some((range.start < range.end).then_some(range))
    }
}

fn operation(method: &Method, no_key: bool, asked: impl Fn(&str) -> bool) -> Operation {
    match (method.as_str(), no_key) {
        ("HEAD", true) => Operation::HeadBucket,
        ("GET", true) if asked("uploads") => Operation::ListMultipartUploads,
        ("GET", true) if asked("list-type") => Operation::ListObjects,
        ("HEAD", false) => Operation::HeadObject,
        ("GET", false) if !asked("uploadId") => Operation::GetObject,
        ("PUT", false) if asked("uploadId") => Operation::UploadPart,
        ("PUT", false) => Operation::PutObject,
        ("POST", false) if asked("uploads") => Operation::CreateMultipartUpload,
        ("POST", false) if asked("uploadId") => Operation::CompleteMultipartUpload,
        ("DELETE", false) if asked("uploadId") => Operation::AbortMultipartUpload,
        ("DELETE", false) => Operation::DeleteObject,
        _ => Operation::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranged(text: &str) -> Call {
        let mut call = Call::new(Operation::GetObject, "b", "k");
        call.headers.insert("range".into(), text.into());
        call
    }

    #[test]
    fn ranges_are_cut_to_the_object() {
        for (text, expected) in [
            ("bytes=0-3", Some(0..4)),
            ("bytes=3-99", Some(3..10)),
            ("bytes=3-", Some(3..10)),
            ("bytes=-4", Some(6..10)),
            ("bytes=-40", Some(0..10)),
            ("bytes=10-12", None),
        ] {
            assert_eq!(ranged(text).range(10), Some(expected), "{text}");
        }
        assert_eq!(Call::new(Operation::GetObject, "b", "k").range(10), None);
    }

    #[test]
    fn requests_are_told_apart_by_method_path_and_query() {
        for (method, uri, operation, key) in [
            ("GET", "/b/a%20b", Operation::GetObject, "a b"),
            ("HEAD", "/b", Operation::HeadBucket, ""),
            (
                "GET",
                "/b/?list-type=2&prefix=x",
                Operation::ListObjects,
                "",
            ),
            ("GET", "/b?uploads", Operation::ListMultipartUploads, ""),
            (
                "POST",
                "/b/k?uploads=",
                Operation::CreateMultipartUpload,
                "k",
            ),
            (
                "PUT",
                "/b/k?partNumber=1&uploadId=7",
                Operation::UploadPart,
                "k",
            ),
            (
                "POST",
                "/b/k?uploadId=7",
                Operation::CompleteMultipartUpload,
                "k",
            ),
            (
                "DELETE",
                "/b/k?uploadId=7",
                Operation::AbortMultipartUpload,
                "k",
            ),
            ("PUT", "/b", Operation::Other, ""),
        ] {
            let request = hyper::Request::builder()
                .method(method)
                .uri(uri)
                .body(())
                .unwrap();
            let call = Call::parse(&request.into_parts().0);
            assert_eq!(
                (call.operation, call.key.as_str()),
                (operation, key),
                "{method} {uri}"
            );
            assert_eq!(call.bucket, "b");
        }
    }
}
