//! The events of a watch, one by one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use serde_json::Value;

use crate::call::Call;
use crate::fault::EventFault;
use crate::rule::{Match, Script};

/// One event of a watch.
#[derive(Debug)]
pub struct Event {
    /// The request that began the watch.
    pub watch: Arc<Call>,
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub kind: String,
    /// The object, as it is at that revision.
    pub object: Value,
}

impl Match<Event> {
    /// Events of watches of `resource`, such as `jobs`, in whatever namespace.
    #[must_use]
    pub fn watching(resource: &'static str) -> Self {
        Match::when(move |event: &Event| {
            let asked = event.watch.asked();
            asked.is_some_and(|asked| asked.resource == resource)
        })
    }

    /// Of these, those about an object in `namespace`.
    #[must_use]
    pub fn in_namespace(self, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        self.and(move |event| event.object["metadata"]["namespace"] == namespace.as_str())
    }

    /// Of these, those about the object called `name`.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.and(move |event| event.object["metadata"]["name"] == name.as_str())
    }

    /// Of these, those of `kind`, such as `MODIFIED`.
    #[must_use]
    pub fn of_kind(self, kind: &'static str) -> Self {
        self.and(move |event| event.kind == kind)
    }
}

/// What has come in of a watch, cut into lines.
#[derive(Default)]
struct Lines(BytesMut);

impl Lines {
    /// The next whole line, with its end.
    fn next(&mut self) -> Option<Bytes> {
        let end = self.0.iter().position(|byte| *byte == b'\n')?;
        Some(self.0.split_to(end + 1).freeze())
    }
}

type Chunk = io::Result<Bytes>;

/// The body of a watch with the events that the rules leave, in their order.
pub(crate) fn filtered(
    body: impl Stream<Item = Chunk> + Send + 'static,
    watch: Arc<Call>,
    script: Arc<Script<Event, EventFault>>,
) -> impl Stream<Item = Chunk> + Send {
    let state = Watched {
        body: Box::pin(body),
        lines: Lines::default(),
        watch,
        script,
        last_words: false,
    };
    stream::try_unfold(state, |mut state| async move {
        let next = state.next().await?;
        Ok(next.map(|chunk| (chunk, state)))
    })
}

struct Watched {
    body: Pin<Box<dyn Stream<Item = Chunk> + Send>>,
    lines: Lines,
    watch: Arc<Call>,
    script: Arc<Script<Event, EventFault>>,
    last_words: bool,
}

impl Watched {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.last_words {
            return Ok(None);
        }
        loop {
            while let Some(line) = self.lines.next() {
                if let Some(line) = self.judge(line).await? {
                    return Ok(Some(line));
                }
            }
            match self.body.next().await {
                Some(chunk) => self.lines.0.extend_from_slice(&chunk?),
                // The server ended it in the middle of a line, or between two.
                None if self.lines.0.has_remaining() => {
                    self.last_words = true;
                    return Ok(Some(self.lines.0.split().freeze()));
                }
                None => return Ok(None),
            }
        }
    }

    /// The line, or what comes in its place; nothing if it is lost.
    async fn judge(&mut self, line: Bytes) -> io::Result<Option<Bytes>> {
        let Some(event) = self.read(&line) else {
            return Ok(Some(line));
        };
        let Some((fault, gate)) = self.script.strike(&event) else {
            return Ok(Some(line));
        };
        match fault {
            EventFault::Hold => {
                gate.over().await;
                Ok(Some(line))
            }
            EventFault::Late(delay) => {
                tokio::time::sleep(delay).await;
                Ok(Some(line))
            }
            EventFault::Drop => Ok(None),
            EventFault::Cut => Err(io::Error::other("cut by a rule")),
            EventFault::Gone => {
                self.last_words = true;
                Ok(Some(Bytes::from_static(GONE)))
            }
            EventFault::Silence => std::future::pending().await,
        }
    }

    fn read(&self, line: &[u8]) -> Option<Event> {
        let mut event: Value = serde_json::from_slice(line).ok()?;
        Some(Event {
            watch: Arc::clone(&self.watch),
            kind: event["type"].as_str()?.to_owned(),
            object: event["object"].take(),
        })
    }
}

const GONE: &[u8] = b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"apiVersion\":\"v1\",\
\"metadata\":{},\"status\":\"Failure\",\"message\":\"too old resource version\",\
\"reason\":\"Expired\",\"code\":410}}\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::call;
    use crate::rule::Armed;

    fn line(kind: &str, name: &str) -> String {
        let object = serde_json::json!({"metadata": {"namespace": "team", "name": name}});
        format!("{}\n", serde_json::json!({"type": kind, "object": object}))
    }

    /// The events `a`, `b`, `c`, sent in pieces of seven bytes, as they come out.
    async fn seen(fault: EventFault) -> Result<Vec<String>, String> {
        let text = ["ADDED", "MODIFIED", "DELETED"]
            .iter()
            .zip(["a", "b", "c"])
            .map(|(kind, name)| line(kind, name))
            .collect::<String>();
        let pieces: Vec<Chunk> = text
            .as_bytes()
            .chunks(7)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        let script = Arc::new(Script::default());
        let about = Match::watching("jobs").in_namespace("team").named("b");
        let _armed = Armed::new(&script, about.of_kind("MODIFIED").always(fault));
        let watch = call("GET", "/apis/batch/v1/jobs?watch=1");
        let mut stream = Box::pin(filtered(stream::iter(pieces), Arc::new(watch), script));
        let mut seen = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| format!("{seen:?}, then {error}"))?;
            seen.push(String::from_utf8(chunk.to_vec()).unwrap());
        }
        Ok(seen)
    }

    #[tokio::test]
    async fn an_event_can_be_lost_and_the_next_one_comes() {
        let seen = seen(EventFault::Drop).await.unwrap();
        assert_eq!(seen, [line("ADDED", "a"), line("DELETED", "c")]);
    }

    #[tokio::test]
    async fn a_watch_can_end_in_the_place_of_an_event() {
        let error = seen(EventFault::Cut).await.unwrap_err();
        assert!(
            error.contains("\\\"a\\\"") && !error.contains("\\\"c\\\""),
            "{error}"
        );
        let seen = seen(EventFault::Gone).await.unwrap();
        assert_eq!(seen.len(), 2);
        assert!(seen[1].contains("\"code\":410"), "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_event_holds_up_what_is_behind_it() {
        let begun = tokio::time::Instant::now();
        let late = std::time::Duration::from_secs(30);
        let seen = seen(EventFault::Late(late)).await.unwrap();
        assert_eq!(seen.len(), 3);
        assert_eq!(begun.elapsed(), late);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_watch_stays_open() {
        let limit = std::time::Duration::from_secs(3600);
        let outcome = tokio::time::timeout(limit, seen(EventFault::Silence)).await;
        assert!(outcome.is_err());
    }
}
