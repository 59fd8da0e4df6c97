//! How long an EtlJob may take, and with how many workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many workers, and how long they may take.
#[derive(JsonSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Execution {
    /// Worker pods that share the source objects, 1 to 1000; frozen when a run
    /// starts. Default 1.
    #[schemars(range(min = 1, max = 1000))]
    pub parallelism: u32,
    /// Seconds an attempt may take from the start of its first pod. Default
    /// 3600.
    #[schemars(range(min = 10, max = 604_800))]
    pub active_deadline_seconds: u32,
    /// Seconds from the decision to start an attempt until a pod must run.
    /// Default 600.
    #[schemars(range(min = 10, max = 86_400))]
    pub start_deadline_seconds: u32,
    /// Seconds the whole run may take, its waits included, 10 to 31536000; they
    /// stand still while the EtlJob is suspended. Default: no limit. Example:
    /// 86400.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 31_536_000))]
    pub deadline_seconds: Option<u32>,
}

impl Default for Execution {
    fn default() -> Self {
        Self {
            parallelism: 1,
            active_deadline_seconds: 3600,
            start_deadline_seconds: 600,
            deadline_seconds: None,
        }
    }
}
