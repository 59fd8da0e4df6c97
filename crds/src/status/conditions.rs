//! What the status says in words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One word for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Accepted, no pod runs yet.
    Pending,
    /// A queue holds the attempt's Job back.
    Queued,
    /// A pod runs.
    Running,
    /// An attempt failed, the next one waits for its time.
    Retrying,
    /// Nothing is started, because the spec says so.
    Suspended,
    /// The output is complete.
    Complete,
    /// Given up; see lastFailure.
    Failed,
}

/// Types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// The run ended with a complete output.
    Complete,
    /// The run ended without.
    Failed,
    /// Nothing is started until the spec says otherwise.
    Suspended,
    /// Work is under way (kstatus).
    Reconciling,
    /// Nothing more happens without a change by somebody (kstatus).
    Stalled,
}

impl ConditionType {
    /// As it stands in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ConditionType::Complete => "Complete",
            ConditionType::Failed => "Failed",
            ConditionType::Suspended => "Suspended",
            ConditionType::Reconciling => "Reconciling",
            ConditionType::Stalled => "Stalled",
        }
    }
}

/// Texts of the printed columns.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Summary {
    /// Attempt that counts, of maxAttempts. Example: 2/5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Category of the last failure, or InvalidSpec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Length of the finished run. Example: 1m4s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
}
