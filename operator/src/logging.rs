//! Log lines: sentences with fields, as JSON or for people.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Sends all log lines to standard output. Values are escaped, so that an
/// object's name cannot forge a line.
pub fn init(filter: EnvFilter, format: LogFormat) {
    // Every failed request once more, without saying which.
    let repeated = "kube_client::client::builder=off".parse();
    let filter = repeated.into_iter().fold(filter, EnvFilter::add_directive);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .init(),
        LogFormat::Text => subscriber.init(),
    }
}
