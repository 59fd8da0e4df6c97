//! The key template of outputs.

use etl_contract::Compression;
use jiff::Timestamp;

use super::date;

/// Longest key that S3 takes, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// Why an output key cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A placeholder that does not exist.
    #[error(
        "output.keyTemplate has an unknown placeholder {{{0}}}: known are {{yyyy}}, {{mm}}, \
         {{dd}}, {{stem}}, {{dir}}, {{name}} and {{part}}"
    )]
    Unknown(String),
    /// A brace that is not closed or not opened.
    #[error("output.keyTemplate has an unmatched brace: {0:?}")]
    Brace(String),
    /// A key that no store or no reader would take.
    #[error("the output key {key:?} {problem}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    Month,
    Day,
    Stem,
    Dir,
    Name,
    Part,
}

/// A parsed `output.keyTemplate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate(Vec<Piece>);

impl KeyTemplate {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, from_brace) = rest.split_at(brace);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (name, after) = from_brace
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or_else(|| TemplateError::Brace(text.to_owned()))?;
            pieces.push(match name {
                "yyyy" => Piece::Year,
                "mm" => Piece::Month,
                "dd" => Piece::Day,
                "stem" => Piece::Stem,
                "dir" => Piece::Dir,
                "name" => Piece::Name,
                "part" => Piece::Part,
                unknown => return Err(TemplateError::Unknown(unknown.to_owned())),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(KeyTemplate(pieces))
    }

    /// Whether the folder of the source object is part of the key.
    pub fn uses_dir(&self) -> bool {
        self.0.contains(&Piece::Dir)
    }

    /// Whether the parts of a source object have different keys.
    pub fn uses_part(&self) -> bool {
        self.0.contains(&Piece::Part)
    }

    /// The output key of a part of a source key (both below their prefixes).
    pub fn expand(
        &self,
        source_key: &str,
        part: u32,
        start: Timestamp,
        compression: Compression,
    ) -> Result<String, TemplateError> {
        let (dir, name) = source_key.rsplit_once('/').unwrap_or(("", source_key));
        // ".parquet" alone is a name, not an extension.
        let stem = match name.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => name,
        };
        let (year, month, day) = date(start);
        let part = format!("{part:05}");
        let mut key = String::new();
        for piece in &self.0 {
            key.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Year => &year,
                Piece::Month => &month,
                Piece::Day => &day,
                Piece::Stem => stem,
                Piece::Dir => dir,
                Piece::Name => name,
                Piece::Part => &part,
            });
        }
        key.push_str(match compression {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        });
        // An empty {dir} must not leave an empty segment behind.
        let segments: Vec<&str> = key
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        let is_folder = key.ends_with('/');
        check(segments.join("/"), is_folder)
    }
}

fn check(key: String, is_folder: bool) -> Result<String, TemplateError> {
    let problem = if key.is_empty() || is_folder {
        "names no object"
    } else if key.len() > MAX_KEY_BYTES {
        "is longer than 1024 bytes"
    } else if key.split('/').any(|segment| matches!(segment, "." | "..")) {
        "has '.' or '..' as a segment"
    } else if key.split('/').next() == Some("_etl") {
        "lies in the control prefix _etl/"
    } else {
        return Ok(key);
    };
    Err(TemplateError::Key { key, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str, key: &str, compression: Compression) -> Result<String, String> {
        let start = "2026-03-04T23:59:59Z".parse().unwrap();
        KeyTemplate::parse(template)
            .and_then(|template| template.expand(key, 7, start, compression))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn placeholders_expand() {
        for (template, key, expected) in [
            (
                "{yyyy}/{mm}/{dd}/{stem}.json",
                "a/b/x.parquet",
                "2026/03/04/x.json",
            ),
            ("{dir}/{stem}.json", "a/b/x.parquet", "a/b/x.json"),
            ("{dir}/{stem}.json", "x.parquet", "x.json"),
            ("p/{dir}/{name}.json", "x.parquet", "p/x.parquet.json"),
            ("{stem}.json", "part-0.snappy.parquet", "part-0.snappy.json"),
            ("{stem}-{part}.json", "a/x.parquet", "x-00007.json"),
            ("{stem}.json", "noextension", "noextension.json"),
            ("{stem}.json", ".parquet", ".parquet.json"),
        ] {
            assert_eq!(
                expand(template, key, Compression::None).as_deref(),
                Ok(expected)
            );
        }
    }

    #[test]
    fn the_suffix_follows_the_compression() {
        assert_eq!(
            expand("{stem}.json", "x.p", Compression::Gzip).as_deref(),
            Ok("x.json.gz")
        );
        assert_eq!(
            expand("{stem}.json", "x.p", Compression::Zstd).as_deref(),
            Ok("x.json.zst")
        );
    }

    #[test]
    fn unusable_keys_are_refused() {
        let long = "x".repeat(1100);
        for (template, key, part) in [
            ("{year}", "x", "unknown placeholder {year}"),
            ("{stem", "x", "unmatched brace"),
            ("stem}", "x", "unmatched brace"),
            ("{dir}/", "a/x", "names no object"),
            ("{dir}", "x", "names no object"),
            ("{dir}/{name}", "../x", "'.' or '..'"),
            ("_etl/{name}", "x", "control prefix"),
            ("{stem}", long.as_str(), "longer than 1024"),
        ] {
            let error = expand(template, key, Compression::None).unwrap_err();
            assert!(error.contains(part), "{template}: {error}");
        }
    }
}
