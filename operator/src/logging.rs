//! Log lines: sentences with fields, as JSON or for people. A line about an
//! EtlJob bears the fields of its pass: namespace, etljob, uid, run, attempt.

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;

/// Sends all log lines to standard output. Values are escaped, so that an
/// object's name cannot forge a line.
pub fn init(filter: EnvFilter, format: LogFormat) {
    // Every failed request once more, without saying which.
    let repeated = "kube_client::client::builder=off".parse();
    let filter = repeated.into_iter().fold(filter, EnvFilter::add_directive);
    match format {
        LogFormat::Json => json(filter, std::io::stdout).init(),
        LogFormat::Text => tracing_subscriber::fmt().with_env_filter(filter).init(),
    }
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .finish()
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json as value};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_json_is_a_sentence_with_the_fields_of_its_pass() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = json(EnvFilter::new("info"), move || writer.clone());
        let forged = "trips\"}\n{\"message\":\"all is well";
        tracing::subscriber::with_default(subscriber, || {
            let (run, attempt) = (Some(2), None::<u32>);
            let span = tracing::info_span!("reconcile", etljob = forged, run, attempt);
            span.in_scope(|| {
                tracing::info!(job = "trips-abc", "created the Job");
                tracing::debug!("not this one");
            });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let parsed: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is an object"))
            .collect();
        assert_eq!(parsed.len(), 1, "{text}");
        assert_eq!(parsed[0]["message"], "created the Job");
        assert_eq!(parsed[0]["level"], "INFO");
        assert_eq!(parsed[0]["job"], "trips-abc");
        let pass = value!({ "name": "reconcile", "etljob": forged, "run": 2 });
        assert_eq!(parsed[0]["span"], pass);
    }
}
