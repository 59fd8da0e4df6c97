//! `s3://` and `file://` URIs: a root to open and a key below it.
//!
//! Keys are taken as they stand: nothing is percent-decoded, so that a key may
//! contain any character that its store allows.

use std::fmt;
use std::path::PathBuf;

/// Why a URI cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Neither `s3://` nor `file://`.
    #[error("{0:?} is not an s3://bucket/key or file:///path URI")]
    Scheme(String),
    /// `s3:///key` or `s3://`.
    #[error("{0:?} names no bucket")]
    NoBucket(String),
    /// `file://host/path` or a relative path.
    #[error("{0:?} must hold an absolute path, as in file:///data/in/")]
    NotAbsolute(String),
    /// `file://` paths must not climb.
    #[error("{0:?} must not contain '.' or '..' segments")]
    Climbs(String),
    /// An output must be a prefix.
    #[error("{0:?} must end in '/': it is the folder that objects are written below")]
    NotAFolder(String),
}

/// The folder of objects that a store is opened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// Objects of a bucket below a prefix that is empty or ends in `/`.
    S3 {
        /// The bucket.
        bucket: String,
        /// The prefix.
        prefix: String,
    },
    /// Files below a directory.
    File {
        /// The directory, absolute.
        folder: PathBuf,
    },
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Root::File { folder } => {
                let folder = folder.display().to_string();
                write!(f, "file://{}/", folder.trim_end_matches('/'))
            }
        }
    }
}

/// A parsed URI: `name` is empty for a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The folder.
    pub root: Root,
    /// The object in it, or nothing if the folder itself is meant.
    pub name: String,
}

impl Location {
    /// Parses the URI of an object or, ending in `/`, of a folder.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
            if bucket.is_empty() {
                return Err(UriError::NoBucket(text.to_owned()));
            }
            let (prefix, name) = split_key(key);
            let root = Root::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
            };
            return Ok(Location {
                root,
                name: name.to_owned(),
            });
        }
        let Some(path) = text.strip_prefix("file://") else {
            return Err(UriError::Scheme(text.to_owned()));
        };
        if !path.starts_with('/') {
            return Err(UriError::NotAbsolute(text.to_owned()));
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(UriError::Climbs(text.to_owned()));
        }
        let (folder, name) = split_key(path);
        Ok(Location {
            root: Root::File {
                folder: PathBuf::from(folder),
            },
            name: name.to_owned(),
        })
    }

    /// Parses the URI of a folder.
    pub fn parse_folder(text: &str) -> Result<Root, UriError> {
        let location = Location::parse(text)?;
        // A bare bucket is a folder as well: it has no key to mistake.
        if location.name.is_empty() {
            Ok(location.root)
        } else {
            Err(UriError::NotAFolder(text.to_owned()))
        }
    }
}

/// Splits behind the last `/`.
fn split_key(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('/').map_or(0, |slash| slash + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(bucket: &str, prefix: &str) -> Root {
        Root::S3 {
            bucket: bucket.into(),
            prefix: prefix.into(),
        }
    }

    #[test]
    fn objects_and_folders_are_told_apart_by_the_last_slash() {
        for (text, root, name) in [
            ("s3://raw/a/b.parquet", s3("raw", "a/"), "b.parquet"),
            ("s3://raw/b.parquet", s3("raw", ""), "b.parquet"),
            ("s3://raw/a/", s3("raw", "a/"), ""),
            ("s3://raw/", s3("raw", ""), ""),
            ("s3://raw", s3("raw", ""), ""),
            ("s3://raw/a%20+b", s3("raw", ""), "a%20+b"),
            (
                "file:///d/x",
                Root::File {
                    folder: "/d/".into(),
                },
                "x",
            ),
            (
                "file:///d/",
                Root::File {
                    folder: "/d/".into(),
                },
                "",
            ),
        ] {
            assert_eq!(
                Location::parse(text),
                Ok(Location {
                    root,
                    name: name.into()
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_opened_is_refused() {
        for (text, error) in [
            ("a/b", UriError::Scheme("a/b".into())),
            ("S3://a/b", UriError::Scheme("S3://a/b".into())),
            ("s3:///b", UriError::NoBucket("s3:///b".into())),
            (
                "file://host/b",
                UriError::NotAbsolute("file://host/b".into()),
            ),
            ("file:///a/../b", UriError::Climbs("file:///a/../b".into())),
        ] {
            assert_eq!(Location::parse(text), Err(error), "{text}");
        }
        let error = Location::parse_folder("s3://out/key").unwrap_err();
        assert_eq!(error, UriError::NotAFolder("s3://out/key".into()));
    }

    #[test]
    fn a_root_prints_as_the_uri_it_came_from() {
        for text in ["s3://raw/a/", "s3://raw/", "file:///d/e/"] {
            assert_eq!(Location::parse_folder(text).unwrap().to_string(), text);
        }
    }
}
