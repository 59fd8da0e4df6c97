//! Manifests: from files to EtlJobs, or to everything that is wrong with them.

mod schema;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use etl_api::EtlJob;
use etl_core::{Reach, validate};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

/// Namespace of manifests that name none.
const NAMESPACE: &str = "default";

/// Longest name, because it becomes a label.
const NAME_LIMIT: usize = 63;

/// How manifests are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Namespace of manifests that name none; others must agree with it.
    pub namespace: Option<String>,
    /// Folder that relative `file://` URIs start at.
    pub folder: PathBuf,
    /// Which URIs are allowed.
    pub reach: Reach,
}

/// One thing that is wrong with the manifests, and where.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file is no YAML.
    #[error("{file}: is not valid YAML: {source}")]
    Malformed {
        /// The file.
        file: String,
        /// Where and why.
        source: Box<serde_saphyr::Error>,
    },
    /// There is nothing in the file.
    #[error("{file}: holds no document: write an EtlJob into it")]
    Empty {
        /// The file.
        file: String,
    },
    /// A document is not an EtlJob that could be run.
    #[error("{place}: {finding}")]
    Invalid {
        /// The document.
        place: Place,
        /// What is wrong in it.
        finding: Finding,
    },
}

/// Where a document stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Number of the document in it, from 1; empty ones are not counted.
    pub document: usize,
    /// Its first line.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: document {} (line {})",
            self.file, self.document, self.line
        )
    }
}

/// What is wrong in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl Finding {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Finding {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Reads all EtlJobs of `files`, in order.
///
/// # Errors
/// All problems of all files at once.
pub fn read(files: &[PathBuf], reading: &Reading) -> Result<Vec<EtlJob>, Vec<Problem>> {
    let mut jobs = Vec::new();
    let mut problems = Vec::new();
    let mut names = HashSet::new();
    for file in files {
        let documents = match documents(file) {
            Ok(documents) => documents,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for (place, document) in documents {
            let found = job(document, reading).and_then(|job| {
                let name = (job.namespace(), job.name_any());
                let repeated = Finding::new("metadata.name", "this EtlJob was given before");
                if names.insert(name) {
                    Ok(job)
                } else {
                    Err(vec![repeated])
                }
            });
            match found {
                Ok(job) => jobs.push(job),
                Err(findings) => {
                    problems.extend(findings.into_iter().map(|finding| Problem::Invalid {
                        place: place.clone(),
                        finding,
                    }));
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(jobs)
    } else {
        Err(problems)
    }
}

fn documents(path: &Path) -> Result<Vec<(Place, Value)>, Problem> {
    let stdin = path == Path::new("-");
    let file = if stdin {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let text = if stdin {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|source| Problem::Unreadable {
        file: file.clone(),
        source,
    })?;
    let documents: Vec<Spanned<Value>> =
        serde_saphyr::from_multiple(&text).map_err(|source| Problem::Malformed {
            file: file.clone(),
            source: Box::new(source),
        })?;
    if documents.is_empty() {
        return Err(Problem::Empty { file });
    }
    let place = |(index, document): (usize, Spanned<Value>)| {
        let line = document.defined.line();
        (
            Place {
                file: file.clone(),
                document: index + 1,
                line,
            },
            document.value,
        )
    };
    Ok(documents.into_iter().enumerate().map(place).collect())
}

fn job(mut document: Value, reading: &Reading) -> Result<EtlJob, Vec<Finding>> {
    schema::prune_nulls(&mut document);
    let Value::Object(mut members) = document else {
        return Err(vec![Finding::new(
            "document",
            "must be a map with apiVersion and kind",
        )]);
    };
    is_etljob(&members).map_err(|finding| vec![finding])?;
    // Written by the operator alone: the API server drops it as well.
    members.remove("status");
    for pointer in ["source", "output"] {
        let uri = members
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(pointer)?.get_mut("uri"));
        if let Some(Value::String(uri)) = uri {
            *uri = absolute(uri, &reading.folder);
        }
    }
    let mut findings = metadata(&members, reading);
    findings.extend(schema::check(&members));
    let job = match serde_json::from_value::<EtlJob>(Value::Object(members)) {
        Ok(job) => job,
        Err(error) => {
            // Said better by the schema, if it could say it.
            if findings.is_empty() {
                findings.push(Finding::new("document", error.to_string()));
            }
            return Err(findings);
        }
    };
    for problem in validate(&job.spec, reading.reach) {
        if !findings.iter().any(|known| known.path == problem.path) {
            findings.push(Finding::new(&problem.path, problem.message));
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(EtlJob {
        metadata: placed(job.metadata, reading),
        ..job
    })
}

fn is_etljob(members: &Map<String, Value>) -> Result<(), Finding> {
    let text = |name: &str| {
        members
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (version, kind) = (text("apiVersion"), text("kind"));
    let (own_version, own_kind) = (EtlJob::api_version(&()), EtlJob::kind(&()));
    if kind != own_kind {
        let message =
            format!("must be {own_kind}, is {kind:?}: leave other objects to kubectl apply");
        return Err(Finding::new("kind", message));
    }
    if version != own_version {
        return Err(Finding::new(
            "apiVersion",
            format!("must be {own_version}, is {version:?}"),
        ));
    }
    Ok(())
}

fn metadata(members: &Map<String, Value>, reading: &Reading) -> Vec<Finding> {
    let given = members
        .get("metadata")
        .cloned()
        .unwrap_or_else(|| Value::Object(Map::new()));
    let metadata = match serde_json::from_value::<ObjectMeta>(given.clone()) {
        Ok(metadata) => metadata,
        Err(error) => return vec![Finding::new("metadata", error.to_string())],
    };
    let mut findings = Vec::new();
    // Without nulls every known member comes back.
    let known = serde_json::to_value(&metadata).unwrap_or_default();
    for name in given.as_object().into_iter().flat_map(Map::keys) {
        if known.get(name).is_none() {
            findings.push(Finding::new(&format!("metadata.{name}"), "unknown field"));
        }
    }
    let name = metadata.name.as_deref().unwrap_or_default();
    if !is_subdomain(name) || name.len() > NAME_LIMIT {
        let message = format!(
            "must be at most {NAME_LIMIT} of a-z, 0-9, - and ., with a letter or digit at \
             both ends, is {name:?}"
        );
        findings.push(Finding::new("metadata.name", message));
    }
    let namespace = metadata.namespace.as_deref();
    if let (Some(own), Some(asked)) = (namespace, reading.namespace.as_deref())
        && own != asked
    {
        let message = format!("is {own:?}, but --namespace asks for {asked:?}");
        findings.push(Finding::new("metadata.namespace", message));
    }
    findings
}

/// RFC 1123 subdomain, as the API server demands of names.
fn is_subdomain(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.split('.').all(|label| {
        label.starts_with(inner)
            && label.ends_with(inner)
            && label.chars().all(|c| inner(c) || c == '-')
    })
}

/// What identifies the object, without what a server once gave it.
fn placed(metadata: ObjectMeta, reading: &Reading) -> ObjectMeta {
    let namespace = metadata.namespace.or_else(|| reading.namespace.clone());
    ObjectMeta {
        name: metadata.name,
        namespace: Some(namespace.unwrap_or_else(|| NAMESPACE.to_owned())),
        labels: metadata.labels,
        annotations: metadata.annotations,
        ..ObjectMeta::default()
    }
}

/// `file://./x` and `file://../x` as they look from `folder`; other URIs as
/// they are.
fn absolute(uri: &str, folder: &Path) -> String {
    let relative = uri.strip_prefix("file://").filter(|path| {
        [".", ".."].contains(path) || path.starts_with("./") || path.starts_with("../")
    });
    let (Some(relative), Some(folder)) = (relative, folder.to_str()) else {
        return uri.to_owned();
    };
    let mut segments: Vec<&str> = folder.split('/').filter(|s| !s.is_empty()).collect();
    for segment in relative.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let is_folder = relative.ends_with('/');
    let end = if is_folder && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("file:///{}{end}", segments.join("/"))
}

#[cfg(test)]
mod tests;
