//! Which objects below a prefix are read.

use std::fmt;

use etl_contract::Source;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::Timestamp;

use crate::store::Object;

/// What is included when the resource says nothing.
const DEFAULT_INCLUDE: &str = "**/*.parquet";

/// A glob that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("source.{field} has a malformed glob {glob:?}: {problem}")]
pub struct SelectionError {
    field: &'static str,
    glob: String,
    problem: String,
}

/// The conditions that a source object must meet.
#[derive(Debug)]
pub struct Selection {
    include: GlobSet,
    exclude: GlobSet,
    window: Window,
    words: String,
}

/// The times between which an object must have been modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

impl Window {
    pub(super) fn of(source: &Source) -> Self {
        Window {
            after: source.modified_after,
            before: source.modified_before,
        }
    }

    /// An object without a time is never inside a window that has an end.
    pub(super) fn contains(self, modified: Option<Timestamp>) -> bool {
        self.after
            .is_none_or(|after| modified.is_some_and(|time| time >= after))
            && self
                .before
                .is_none_or(|before| modified.is_some_and(|time| time < before))
    }
}

/// The second half of a sentence, empty if the window is open.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(after) = self.after {
            write!(f, ", modified at or after {after}")?;
        }
        if let Some(before) = self.before {
            write!(f, ", modified before {before}")?;
        }
        Ok(())
    }
}

impl Selection {
    /// The selection that a source asks for.
    pub fn new(source: &Source) -> Result<Self, SelectionError> {
        let mut include = source.include.clone();
        if include.is_empty() {
            include.push(DEFAULT_INCLUDE.to_owned());
        }
        let window = Window::of(source);
        let mut words = include.join(", ");
        if !source.exclude.is_empty() {
            words.push_str(" without ");
            words.push_str(&source.exclude.join(", "));
        }
        words.push_str(&window.to_string());
        Ok(Selection {
            include: globs("include", &include)?,
            exclude: globs("exclude", &source.exclude)?,
            window,
            words,
        })
    }

    /// Whether an object is read.
    pub fn matches(&self, object: &Object) -> bool {
        // Segments of this form are hidden, by the convention of Hive and
        // Spark; a key with an empty last segment marks a folder.
        let hidden = object
            .key
            .split('/')
            .any(|segment| segment.starts_with(['_', '.']) || segment.is_empty());
        !hidden
            && self.include.is_match(&object.key)
            && !self.exclude.is_match(&object.key)
            && self.window.contains(object.modified)
    }
}

/// What is asked for, in words.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

fn globs(field: &'static str, globs: &[String]) -> Result<GlobSet, SelectionError> {
    let malformed = |glob: &str, error: &globset::Error| SelectionError {
        field,
        glob: glob.to_owned(),
        problem: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let parsed = GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|error| malformed(glob, &error))?;
        set.add(parsed);
    }
    set.build()
        .map_err(|error| malformed(&globs.join(", "), &error))
}

#[cfg(test)]
mod tests {
    use etl_contract::OnInvalidObject;

    use super::*;

    fn source(include: &[&str], exclude: &[&str]) -> Source {
        let owned = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        Source {
            uri: "s3://raw/".into(),
            include: owned(include),
            exclude: owned(exclude),
            modified_after: None,
            modified_before: None,
            version_id: None,
            etag: None,
            sequencer: None,
            on_invalid_object: OnInvalidObject::default(),
            max_invalid_objects: 0,
        }
    }

    fn object(key: &str, modified: &str) -> Object {
        Object {
            key: key.into(),
            etag: "e".into(),
            version: None,
            size: 1,
            modified: Some(modified.parse().unwrap()),
            metadata: Default::default(),
            crc64: None,
        }
    }

    fn selected(source: &Source, keys: &[&'static str]) -> Vec<&'static str> {
        let selection = Selection::new(source).unwrap();
        keys.iter()
            .copied()
            .filter(|key| selection.matches(&object(key, "2026-01-01T00:00:00Z")))
            .collect()
    }

    #[test]
    fn by_default_every_visible_parquet_object_is_read() {
        let keys = [
            "a.parquet",
            "x/y/a.parquet",
            "a.csv",
            "_tmp/a.parquet",
            "x/.hidden/a.parquet",
            "x/_SUCCESS.parquet",
            "x/",
            "x//a.parquet",
        ];
        assert_eq!(
            selected(&source(&[], &[]), &keys),
            ["a.parquet", "x/y/a.parquet"]
        );
    }

    #[test]
    fn a_star_stops_at_the_slash_and_excludes_win() {
        let keys = ["a.parquet", "x/b.parquet", "x/y/c.parquet"];
        assert_eq!(selected(&source(&["*.parquet"], &[]), &keys), ["a.parquet"]);
        assert_eq!(selected(&source(&["x/*"], &[]), &keys), ["x/b.parquet"]);
        assert_eq!(
            selected(&source(&["**/*.parquet"], &["x/**"]), &keys),
            ["a.parquet"]
        );
    }

    #[test]
    fn the_time_window_is_half_open() {
        let window = Source {
            modified_after: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            modified_before: Some("2026-02-01T00:00:00Z".parse().unwrap()),
            ..source(&[], &[])
        };
        let selection = Selection::new(&window).unwrap();
        for (time, inside) in [
            ("2025-12-31T23:59:59Z", false),
            ("2026-01-01T00:00:00Z", true),
            ("2026-01-31T23:59:59Z", true),
            ("2026-02-01T00:00:00Z", false),
        ] {
            assert_eq!(
                selection.matches(&object("a.parquet", time)),
                inside,
                "{time}"
            );
        }
        assert!(selection.to_string().contains("modified before 2026-02-01"));
    }

    #[test]
    fn a_malformed_glob_is_named_with_its_field() {
        let error = Selection::new(&source(&[], &["a[.parquet"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("source.exclude has a malformed glob \"a[.parquet\""),
            "{error}"
        );
    }
}
