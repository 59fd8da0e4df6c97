//! Who asked the API server for what, from its audit log.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The log, read from where the last look ended. A request is in it before its
/// answer is sent.
#[derive(Debug)]
pub(crate) struct AuditLog {
    log: BufReader<File>,
    line: String,
    account: String,
}

/// Requests of one window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// The operator's own that were granted, by `<verb> <resource>`.
    pub(crate) own: BTreeMap<String, u64>,
    /// The operator's own that were not, by `<code> <verb> <resource>`.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Writes of everybody that were granted and changed an object, apart from
    /// what nodes and leases need to stay as they are.
    pub(crate) writes: u64,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    verb: Cow<'a, str>,
    #[serde(borrow)]
    user: User<'a>,
    #[serde(borrow, rename = "objectRef")]
    object: Option<ObjectRef<'a>>,
    #[serde(rename = "responseStatus")]
    response: Option<Response>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    username: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ObjectRef<'a> {
    #[serde(borrow)]
    resource: Cow<'a, str>,
    #[serde(borrow)]
    subresource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    namespace: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    code: u16,
}

/// Verbs that change objects.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Resources that are asked and not kept, and those that nodes renew.
const NOT_COUNTED: [&str; 5] = [
    "leases",
    "nodes",
    "tokenreviews",
    "subjectaccessreviews",
    "serviceaccounts/token",
];

impl AuditLog {
    /// The log at `path`, of which `account` is the operator's user name.
    pub(crate) fn open(path: &Path, account: String) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self {
            log: BufReader::with_capacity(1 << 20, file),
            line: String::new(),
            account,
        })
    }

    /// What was asked since the last call, but for what concerns the namespace
    /// `left_out`.
    pub(crate) fn requests(&mut self, left_out: Option<&str>) -> Result<Requests> {
        let mut requests = Requests::default();
        loop {
            // The last line may be half written: it stays for the next call.
            if self.log.read_line(&mut self.line)? == 0 {
                return Ok(requests);
            }
            if !self.line.ends_with('\n') {
                continue;
            }
            let event: Event<'_> =
                serde_json::from_str(&self.line).context("a line of the audit log is no event")?;
            requests.count(&event, &self.account, left_out);
            self.line.clear();
        }
    }
}

impl Requests {
    fn count(&mut self, event: &Event<'_>, account: &str, left_out: Option<&str>) {
        let Some(object) = &event.object else {
            return;
        };
        if left_out.is_some() && object.namespace.as_deref() == left_out {
            return;
        }
        let resource = match &object.subresource {
            Some(part) => format!("{}/{part}", object.resource),
            None => object.resource.to_string(),
        };
        let code = event.response.as_ref().map_or(0, |response| response.code);
        let granted = (200..300).contains(&code);
        let request = format!("{} {resource}", event.verb);
        if event.user.username == account {
            let count = if granted {
                self.own.entry(request)
            } else {
                self.refused.entry(format!("{code} {request}"))
            };
            *count.or_default() += 1;
        }
        let counted = WRITES.contains(&&*event.verb)
            && !NOT_COUNTED.contains(&&*object.resource)
            && !NOT_COUNTED.contains(&&*resource);
        self.writes += u64::from(granted && counted);
    }
}

/// Whether `request`, as it stands in [`Requests::own`], is a write of an object;
/// those of the lease and of events are not.
pub(crate) fn is_object_write(request: &str) -> bool {
    let (verb, resource) = request.split_once(' ').unwrap_or_default();
    WRITES.contains(&verb) && !["leases", "events"].contains(&resource)
}

/// Whether `request` tells people something.
pub(crate) fn is_event(request: &str) -> bool {
    let (verb, resource) = request.split_once(' ').unwrap_or_default();
    WRITES.contains(&verb) && resource == "events"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn event(user: &str, verb: &str, resource: &str, code: u16) -> String {
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let mut object = serde_json::json!({"resource": resource, "namespace": "a\"b"});
        if !part.is_empty() {
            object["subresource"] = part.into();
        }
        serde_json::json!({
            "kind": "Event", "verb": verb, "user": {"username": user},
            "objectRef": object, "responseStatus": {"code": code},
        })
        .to_string()
    }

    #[test]
    fn own_requests_are_told_from_those_of_others_and_refused_ones_from_granted() {
        let mut file = tempfile();
        let mut log = AuditLog::open(&file.0, "operator".into()).unwrap();
        for (user, verb, resource, code) in [
            ("operator", "create", "jobs", 201),
            ("operator", "update", "etljobs/status", 200),
            ("operator", "update", "etljobs/status", 409),
            ("operator", "list", "pods", 200),
            ("operator", "update", "leases", 200),
            ("controller", "create", "pods", 201),
        ] {
            writeln!(file.1, "{}", event(user, verb, resource, code)).unwrap();
        }
        let requests = log.requests(None).unwrap();
        let own: Vec<(&str, u64)> = requests.own.iter().map(|(k, n)| (&**k, *n)).collect();
        assert_eq!(
            own,
            [
                ("create jobs", 1),
                ("list pods", 1),
                ("update etljobs/status", 1),
                ("update leases", 1),
            ]
        );
        assert_eq!(requests.refused["409 update etljobs/status"], 1);
        assert_eq!(requests.writes, 3);
        let writes = requests
            .own
            .keys()
            .filter(|request| is_object_write(request));
        assert_eq!(writes.count(), 2);
    }

    #[test]
    fn a_line_that_is_half_written_is_counted_once_and_whole() {
        let mut file = tempfile();
        let mut log = AuditLog::open(&file.0, "o".into()).unwrap();
        let line = event("o", "create", "jobs", 201);
        let (first, second) = line.split_at(20);
        write!(file.1, "{first}").unwrap();
        assert_eq!(log.requests(None).unwrap(), Requests::default());
        writeln!(file.1, "{second}").unwrap();
        assert_eq!(log.requests(None).unwrap().own["create jobs"], 1);
        assert_eq!(log.requests(None).unwrap(), Requests::default());
    }

    #[test]
    fn a_namespace_can_be_left_out() {
        let mut file = tempfile();
        let mut log = AuditLog::open(&file.0, "o".into()).unwrap();
        writeln!(file.1, "{}", event("o", "create", "jobs", 201)).unwrap();
        let left_out = log.requests(Some("a\"b")).unwrap();
        assert_eq!(left_out, Requests::default());
    }

    /// An empty file that is gone with the value.
    fn tempfile() -> (tempfile::TempPath, File) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (file, path) = file.into_parts();
        (path, file)
    }
}
