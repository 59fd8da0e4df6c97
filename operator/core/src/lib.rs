//! The decisions of etl-operator, as pure functions from facts to data.
//!
//! ```text
//! EtlJob + Observed + Settings + now  --plan-->  Plan { status, actions, events, wake }
//! ```
//!
//! Nothing here reads a clock, a socket or a random number, so that every
//! decision can be tested as a table and replayed. The operator and the local
//! runner perform the same plans with different hands.

pub mod child;
mod classify;
pub mod conditions;
pub mod facts;
pub mod ledger;
pub mod names;
mod plan;
mod quantity;
pub mod retry;
pub mod settings;
mod size;
mod totals;
mod validate;
pub mod work;

pub use facts::{ChildJob, ChildPod, JobState, Needs, Observed, Refusal, Terminated, needs};
pub use plan::{Action, Event, Plan, Severity, plan};
pub use settings::{Settings, WorkerDefaults};
pub use validate::{Reach, SpecProblem, validate};
