//! What source and output must satisfy.

use etl_api::{Format, OnInvalidObject, Output, Source};
use globset::Glob;

use super::{Problems, Reach};
use crate::quantity;

pub(super) fn source(problems: &mut Problems, source: &Source, reach: Reach) {
    const URI: &str = "spec.source.uri";
    location(problems, URI, &source.uri, reach);
    let prefix = source.uri.ends_with('/');
    let selects = !source.include.is_empty()
        || !source.exclude.is_empty()
        || source.modified_after.is_some()
        || source.modified_before.is_some();
    problems.check("spec.source", prefix || !selects, || {
        "include, exclude, modifiedAfter and modifiedBefore need a prefix: let uri end in /"
            .to_owned()
    });
    let pins = source.version_id.is_some() || source.etag.is_some() || source.sequencer.is_some();
    problems.check("spec.source", !prefix || !pins, || {
        "versionId, etag and sequencer pin one object: uri must not end in /".to_owned()
    });
    for (path, globs) in [
        ("spec.source.include", &source.include),
        ("spec.source.exclude", &source.exclude),
    ] {
        for glob in globs {
            if let Err(error) = Glob::new(glob) {
                problems.check(path, false, || {
                    format!("{glob:?} is not a glob: {}", error.kind())
                });
            }
        }
    }
    if let (Some(after), Some(before)) = (source.modified_after, source.modified_before) {
        problems.check("spec.source.modifiedBefore", after < before, || {
            format!("must be later than modifiedAfter ({after}), is {before}")
        });
    }
    problems.check(
        "spec.source.maxInvalidObjects",
        source.on_invalid_object != OnInvalidObject::Skip || source.max_invalid_objects >= 1,
        || "must be at least 1 with onInvalidObject: Skip".to_owned(),
    );
}

pub(super) fn output(problems: &mut Problems, output: &Output, reach: Reach) {
    const URI: &str = "spec.output.uri";
    location(problems, URI, &output.uri, reach);
    problems.check(URI, output.uri.ends_with('/'), || {
        format!("is a prefix and must end in /, is {:?}", output.uri)
    });
    problems.check(URI, !output.uri.contains("/_etl/"), || {
        "must not lie below _etl/, which holds the records of runs".to_owned()
    });
    template(problems, &output.key_template);
    split(problems, output);
}

/// Least bytes of a part.
const SPLIT_LEAST_BYTES: u64 = 16 << 20;

fn split(problems: &mut Problems, output: &Output) {
    const PATH: &str = "spec.output.splitBytes";
    let parts = output.key_template.contains("{part}");
    let Some(split) = &output.split_bytes else {
        problems.check("spec.output.keyTemplate", !parts, || {
            "{part} needs splitBytes, without which one input makes one object".to_owned()
        });
        return;
    };
    problems.check("spec.output.keyTemplate", parts, || {
        "must hold {part}, because splitBytes makes several objects of one input".to_owned()
    });
    problems.check(
        PATH,
        quantity::bytes_of(split).is_some_and(|bytes| bytes >= SPLIT_LEAST_BYTES),
        || "must be a quantity of bytes of at least 16Mi, such as 512Mi".to_owned(),
    );
    problems.check(PATH, output.format == Format::JsonLines, || {
        format!("needs format: JsonLines, is {}", output.format.as_str())
    });
}

fn location(problems: &mut Problems, path: &str, uri: &str, reach: Reach) {
    problems.check(path, !uri.chars().any(char::is_control), || {
        "must not hold control characters".to_owned()
    });
    if let Some(rest) = uri.strip_prefix("s3://") {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        problems.check(path, is_bucket(bucket), || {
            format!("{bucket:?} is not a bucket name: 3 to 63 of a-z, 0-9, . and -")
        });
        let needs_key = path.starts_with("spec.source");
        problems.check(path, !needs_key || !key.is_empty(), || {
            format!("must name an object or a prefix below the bucket, is {uri:?}")
        });
    } else if let Some(file) = uri.strip_prefix("file://") {
        problems.check(path, reach == Reach::Local, || {
            "file:// works only with kubectl etl run: use s3://".to_owned()
        });
        problems.check(path, file.starts_with('/'), || {
            format!("must hold an absolute path, as file:///data/in/, is {uri:?}")
        });
    } else {
        let known = if reach == Reach::Local {
            "s3:// or file://"
        } else {
            "s3://"
        };
        problems.check(path, false, || {
            format!("must start with {known}, is {uri:?}")
        });
    }
}

fn is_bucket(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    (3..=63).contains(&name.len())
        && name
            .chars()
            .all(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-'))
        && edge(name.chars().next())
        && edge(name.chars().last())
}

fn template(problems: &mut Problems, template: &str) {
    const PATH: &str = "spec.output.keyTemplate";
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let end = rest[start..]
            .find('}')
            .map_or(rest.len(), |end| start + end + 1);
        let placeholder = &rest[start..end];
        let known = [
            "{yyyy}", "{mm}", "{dd}", "{stem}", "{dir}", "{name}", "{part}",
        ];
        problems.check(PATH, known.contains(&placeholder), || {
            format!("{placeholder:?} is none of {}", known.join(" "))
        });
        rest = &rest[end..];
    }
    problems.check(
        PATH,
        !template.is_empty() && !template.ends_with('/'),
        || "must end in a file name".to_owned(),
    );
    let climbs = template
        .split('/')
        .any(|segment| segment == "." || segment == "..");
    problems.check(PATH, !template.starts_with('/') && !climbs, || {
        "must be a relative key without . and .. segments".to_owned()
    });
    problems.check(PATH, !template.starts_with("_etl/"), || {
        "must not lie below _etl/, which holds the records of runs".to_owned()
    });
}
