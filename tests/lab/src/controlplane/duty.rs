//! What a control plane is made for, and the flags that differ with it.

/// Who did what is recorded, without bodies: enough to prove that somebody
/// never read a secret.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata"}]
}"#;

/// All writes, and of reads only the operator's: everything is read again after
/// hundreds of thousands of requests.
const LOAD_AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "userGroups": ["system:nodes"]},
    {"level": "Metadata", "userGroups": ["system:serviceaccounts:etl-operator"]},
    {"level": "Metadata", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
    {"level": "None"}
  ]
}"#;

/// What a control plane is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// A few pods at a time, and faults that are noticed soon.
    Test,
    /// As many pods as it can, on nodes that never fail.
    Load,
}

impl Duty {
    pub(crate) fn audit_policy(self) -> &'static str {
        match self {
            Self::Test => AUDIT_POLICY,
            Self::Load => LOAD_AUDIT_POLICY,
        }
    }

    pub(crate) fn etcd(self) -> &'static [&'static str] {
        match self {
            Self::Test => &[],
            // Old revisions of so many objects are there for minutes.
            Self::Load => &["--quota-backend-bytes=8589934592"],
        }
    }

    pub(crate) fn api_server(self) -> &'static [&'static str] {
        match self {
            Self::Test => &[],
            // One file, however long: whoever counts in it reads on in the same.
            Self::Load => &["--audit-log-maxsize=100000"],
        }
    }

    pub(crate) fn controller_manager(self) -> &'static [&'static str] {
        match self {
            Self::Test => &[
                "--kube-api-qps=100",
                "--kube-api-burst=200",
                // A lost node is noticed within a test's patience.
                "--node-monitor-grace-period=20s",
                "--node-monitor-period=2s",
            ],
            // Its own limits would be what is measured.
            Self::Load => &[
                "--kube-api-qps=5000",
                "--kube-api-burst=5000",
                "--concurrent-job-syncs=20",
                // No pod of a machine at its limit is evicted.
                "--node-monitor-grace-period=600s",
            ],
        }
    }

    pub(crate) fn scheduler(self) -> &'static [&'static str] {
        match self {
            Self::Test => &[],
            Self::Load => &["--kube-api-qps=5000", "--kube-api-burst=5000"],
        }
    }
}
