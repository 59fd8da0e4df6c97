//! A request, as rules and records see it.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Uri};
use percent_encoding::percent_decode_str;

/// A request with its whole body.
#[derive(Debug, Clone)]
pub struct Call {
    /// The address of the client.
    pub peer: IpAddr,
    /// The method.
    pub method: Method,
    /// The path, decoded.
    pub path: String,
    /// The query, as it was sent; empty without one.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Call {
    pub(crate) fn new(
        peer: IpAddr,
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Self {
        Call {
            peer,
            method,
            path: percent_decode_str(uri.path())
                .decode_utf8_lossy()
                .into_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            headers,
            body,
        }
    }

    /// The text of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a parameter of the query; empty if it has none.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }

    /// The operation of the AWS JSON protocol, such as `UpdateItem`.
    #[must_use]
    pub fn operation(&self) -> Option<&str> {
        self.header("x-amz-target")?.rsplit('.').next()
    }

    /// What is asked of a Kubernetes API server, if the path is one of its own.
    #[must_use]
    pub fn asked(&self) -> Option<Asked> {
        Asked::read(self)
    }

    /// Whether the answer is a stream of watch events.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        matches!(self.parameter("watch"), Some("true" | "1"))
    }
}

/// A request to a Kubernetes API server, in the words of its audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or
    /// `deletecollection`.
    pub verb: &'static str,
    /// The plural of the kind, such as `jobs`.
    pub resource: String,
    /// Such as `status`; empty without one.
    pub subresource: String,
    /// The namespace; empty for what has none and for all namespaces.
    pub namespace: String,
    /// The name; empty if the request is about all of them, and in a `create`.
    pub name: String,
}

impl Asked {
    fn read(call: &Call) -> Option<Self> {
        let segments: Vec<&str> = call.path.trim_matches('/').split('/').collect();
        let (["api", _, rest @ ..] | ["apis", _, _, rest @ ..]) = segments.as_slice() else {
            return None;
        };
        let (namespace, rest) = match rest {
            // The namespace itself has at most its own subresources.
            ["namespaces", namespace, rest @ ..]
                if !matches!(rest, [] | ["status" | "finalize"]) =>
            {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let at = |place: usize| rest.get(place).copied().unwrap_or_default().to_owned();
        let (resource, name) = (at(0), at(1));
        if resource.is_empty() {
            return None;
        }
        let verb = match call.method.as_str() {
            "GET" | "HEAD" if call.is_watch() => "watch",
            "GET" | "HEAD" if name.is_empty() => "list",
            "GET" | "HEAD" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if name.is_empty() => "deletecollection",
            "DELETE" => "delete",
            _ => return None,
        };
        Some(Asked {
            verb,
            resource,
            subresource: at(2),
            namespace: namespace.to_owned(),
            name,
        })
    }

    /// Whether it changes something.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn call(method: &str, uri: &str) -> Call {
        let method = method.parse().unwrap();
        let peer = IpAddr::from([127, 0, 0, 1]);
        Call::new(
            peer,
            method,
            &uri.parse().unwrap(),
            HeaderMap::new(),
            Bytes::new(),
        )
    }

    #[test]
    fn requests_to_kubernetes_are_read_as_the_audit_log_reads_them() {
        let jobs = "/apis/etl-operator.io/v1alpha1/namespaces/team/etljobs";
        let cases = [
            (
                "PUT",
                format!("{jobs}/a/status"),
                ["update", "etljobs", "status", "team", "a"],
            ),
            (
                "POST",
                format!("{jobs}?fieldManager=x"),
                ["create", "etljobs", "", "team", ""],
            ),
            (
                "DELETE",
                jobs.to_owned(),
                ["deletecollection", "etljobs", "", "team", ""],
            ),
            (
                "GET",
                "/apis/batch/v1/jobs?limit=500".to_owned(),
                ["list", "jobs", "", "", ""],
            ),
            (
                "GET",
                "/apis/batch/v1/jobs?watch=true".to_owned(),
                ["watch", "jobs", "", "", ""],
            ),
            (
                "GET",
                "/api/v1/namespaces/team/pods/p".to_owned(),
                ["get", "pods", "", "team", "p"],
            ),
            (
                "DELETE",
                "/api/v1/namespaces/team".to_owned(),
                ["delete", "namespaces", "", "", "team"],
            ),
            (
                "PUT",
                "/api/v1/namespaces/team/finalize".to_owned(),
                ["update", "namespaces", "finalize", "", "team"],
            ),
        ];
        for (method, uri, [verb, resource, subresource, namespace, name]) in cases {
            let asked = call(method, &uri).asked().unwrap();
            let found = [
                asked.verb,
                &asked.resource,
                &asked.subresource,
                &asked.namespace,
                &asked.name,
            ];
            assert_eq!(
                found,
                [verb, resource, subresource, namespace, name],
                "{uri}"
            );
        }
        assert_eq!(call("GET", "/bucket/key").asked(), None);
        assert_eq!(call("GET", "/readyz").asked(), None);
    }

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let call = call("PUT", "/b/k%20ey?uploads&xpartNumber=7&partNumber=3");
        assert_eq!(call.parameter("partNumber"), Some("3"));
        assert_eq!(call.parameter("uploads"), Some(""));
        assert_eq!(call.parameter("part"), None);
        assert_eq!(call.path, "/b/k ey");
    }
}
