//! What a request to the API server is about, in words from closed lists.

use axum::http::Method;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection.
    Watch,
    /// Make an object.
    Create,
    /// Replace an object, or its status.
    Update,
    /// Change parts of an object.
    Patch,
    /// Delete an object.
    Delete,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Verb; 7] = [
        Verb::Get,
        Verb::List,
        Verb::Watch,
        Verb::Create,
        Verb::Update,
        Verb::Patch,
        Verb::Delete,
    ];

    /// As it stands in metrics, and in the API server's own.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Patch => "patch",
            Verb::Delete => "delete",
        }
    }
}

/// What it is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// EtlJobs.
    EtlJobs,
    /// Their status.
    EtlJobStatus,
    /// Jobs.
    Jobs,
    /// Pods.
    Pods,
    /// Events, of either group.
    Events,
    /// Leases.
    Leases,
    /// Anything else, such as the server's version.
    Other,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Resource; 7] = [
        Resource::EtlJobs,
        Resource::EtlJobStatus,
        Resource::Jobs,
        Resource::Pods,
        Resource::Events,
        Resource::Leases,
        Resource::Other,
    ];

    /// As it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Resource::EtlJobs => "etljobs",
            Resource::EtlJobStatus => "etljobs/status",
            Resource::Jobs => "jobs",
            Resource::Pods => "pods",
            Resource::Events => "events",
            Resource::Leases => "leases",
            Resource::Other => "other",
        }
    }
}

/// What a request with this method, path and query is about.
pub fn classify(method: &Method, path: &str, query: &str) -> (Verb, Resource) {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    // `api/<version>` or `apis/<group>/<version>`.
    let prefix = if segments.next() == Some("apis") {
        2
    } else {
        1
    };
    let mut rest = segments.skip(prefix).peekable();
    if rest.peek() == Some(&"namespaces") {
        rest.next();
        rest.next();
    }
    let plural = rest.next().unwrap_or_default();
    let named = rest.next().is_some();
    let subresource = rest.next();
    let resource = match (plural, subresource) {
        ("etljobs", Some("status")) => Resource::EtlJobStatus,
        ("etljobs", _) => Resource::EtlJobs,
        ("jobs", _) => Resource::Jobs,
        ("pods", _) => Resource::Pods,
        ("events", _) => Resource::Events,
        ("leases", _) => Resource::Leases,
        _ => Resource::Other,
    };
    (verb(method, query, named), resource)
}

fn verb(method: &Method, query: &str, named: bool) -> Verb {
    match *method {
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch,
        Method::DELETE => Verb::Delete,
        _ if query.split('&').any(|pair| pair == "watch=true") => Verb::Watch,
        _ if named => Verb::Get,
        _ => Verb::List,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_path_and_query_say_what_a_request_is_about() {
        let etl = "/apis/etl-operator.io/v1alpha1";
        let cases = [
            (
                Method::GET,
                format!("{etl}/etljobs"),
                "limit=500",
                Verb::List,
                Resource::EtlJobs,
            ),
            (
                Method::GET,
                format!("{etl}/etljobs"),
                "a=b&watch=true",
                Verb::Watch,
                Resource::EtlJobs,
            ),
            (
                Method::GET,
                format!("{etl}/namespaces/a/etljobs"),
                "",
                Verb::List,
                Resource::EtlJobs,
            ),
            (
                Method::PUT,
                format!("{etl}/namespaces/a/etljobs/b/status"),
                "",
                Verb::Update,
                Resource::EtlJobStatus,
            ),
            (
                Method::DELETE,
                format!("{etl}/namespaces/a/etljobs/b"),
                "",
                Verb::Delete,
                Resource::EtlJobs,
            ),
            (
                Method::POST,
                "/apis/batch/v1/namespaces/jobs/jobs".into(),
                "",
                Verb::Create,
                Resource::Jobs,
            ),
            (
                Method::GET,
                "/apis/batch/v1/namespaces/a/jobs/b".into(),
                "",
                Verb::Get,
                Resource::Jobs,
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods".into(),
                "labelSelector=x",
                Verb::List,
                Resource::Pods,
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/events".into(),
                "",
                Verb::List,
                Resource::Events,
            ),
            (
                Method::POST,
                "/apis/events.k8s.io/v1/namespaces/a/events".into(),
                "",
                Verb::Create,
                Resource::Events,
            ),
            (
                Method::PUT,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b".into(),
                "",
                Verb::Update,
                Resource::Leases,
            ),
            (
                Method::GET,
                "/version".into(),
                "",
                Verb::List,
                Resource::Other,
            ),
        ];
        for (method, path, query, verb, resource) in cases {
            assert_eq!(
                classify(&method, &path, query),
                (verb, resource),
                "{method} {path}?{query}"
            );
        }
    }
}
