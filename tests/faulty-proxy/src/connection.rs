//! One connection of a client, with its connection to the server.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Request, Response};
use tokio::sync::Mutex;

use crate::body::{self, Reply};
use crate::call::Call;
use crate::event;
use crate::fault::{Answer, Fault};
use crate::proxy::Shared;
use crate::rule::Gate;
use crate::upstream::Line;

/// What is about one connection, not about the request on it.
const OF_THE_CONNECTION: [HeaderName; 4] = [CONNECTION, TRANSFER_ENCODING, UPGRADE, EXPECT];

/// What the client hears: an error is the end of the connection.
type Heard = io::Result<Response<Reply>>;

pub(crate) struct Connection {
    peer: IpAddr,
    shared: Arc<Shared>,
    line: Mutex<Line>,
}

impl Connection {
    pub(crate) fn new(peer: IpAddr, shared: Arc<Shared>) -> Self {
        let line = Mutex::new(Line::new(shared.upstream.clone()));
        Connection { peer, shared, line }
    }

    pub(crate) async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Heard {
        let (head, incoming) = request.into_parts();
        let body = incoming.collect().await.map_err(io::Error::other)?;
        let mut headers = head.headers;
        for name in OF_THE_CONNECTION {
            headers.remove(name);
        }
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let target = target.to_owned();
        let call = Call::new(self.peer, head.method, &head.uri, headers, body.to_bytes());
        let call = Arc::new(call);
        let struck = self.shared.requests.strike(&call);
        let fault = struck.as_ref().map(|(fault, _)| fault.name());
        let record = self.shared.begin(&call, fault);
        let asking = Asking {
            connection: &self,
            call: &call,
            target,
        };
        let heard = match struck {
            None => asking.passed_on().await,
            Some((fault, gate)) => asking.suffer(fault, &gate).await,
        };
        let status = heard.as_ref().ok().map(|answer| answer.status().as_u16());
        self.shared.end(record, status);
        heard
    }
}

/// A request on its way.
struct Asking<'a> {
    connection: &'a Connection,
    call: &'a Arc<Call>,
    /// Path and query as they were sent: a signature is over them.
    target: String,
}

impl Asking<'_> {
    async fn passed_on(&self) -> Heard {
        let answer = self.ask(self.call.body.clone()).await?;
        let (mut head, incoming) = answer.into_parts();
        strip(&mut head.headers);
        if self.call.is_watch() && head.status.is_success() {
            // A rule may make it shorter.
            head.headers.remove(CONTENT_LENGTH);
            let events = Arc::clone(&self.connection.shared.events);
            let chunks = body::chunks(incoming).boxed();
            let filtered = event::filtered(chunks, Arc::clone(self.call), events);
            return Ok(Response::from_parts(head, body::from_chunks(filtered)));
        }
        Ok(Response::from_parts(head, body::passed(incoming)))
    }

    async fn suffer(&self, fault: Fault, gate: &Arc<Gate>) -> Heard {
        match fault {
            Fault::Late(delay) => {
                tokio::time::sleep(delay).await;
                self.passed_on().await
            }
            Fault::Hold => {
                gate.over().await;
                self.passed_on().await
            }
            Fault::LateReply(delay) => {
                let answer = self.carried_out().await?;
                tokio::time::sleep(delay).await;
                Ok(answer)
            }
            Fault::HoldReply => {
                let answer = self.carried_out().await?;
                gate.over().await;
                Ok(answer)
            }
            Fault::Reset => Err(io::Error::other("reset by a rule")),
            Fault::LostReply => {
                self.carried_out().await?;
                Err(io::Error::other("the reply was lost by a rule"))
            }
            Fault::Duplicate => {
                self.carried_out().await?;
                self.passed_on().await
            }
            Fault::Echo => {
                let answer = self.carried_out().await?;
                self.echo(Arc::clone(gate));
                Ok(answer)
            }
            Fault::Refuse(answer) => refused(&answer),
            Fault::RefuseAfterEffect(answer) => {
                self.carried_out().await?;
                refused(&answer)
            }
            Fault::CorruptRequest(offset) => {
                let body = body::turn(&self.call.body, offset);
                self.ask(body).await.map(|answer| answer.map(body::passed))
            }
            Fault::BreakOff(bytes) => {
                self.damaged(|incoming| body::broken_off(incoming, bytes))
                    .await
            }
            Fault::Trickle(per_second) => {
                self.damaged(|incoming| body::trickling(incoming, per_second))
                    .await
            }
            Fault::CorruptReply(offset) => {
                self.damaged(|incoming| body::corrupted(incoming, offset))
                    .await
            }
        }
    }

    /// The answer as a whole: what was asked for is done, and the connection to the
    /// server free.
    async fn carried_out(&self) -> Heard {
        let answer = self.ask(self.call.body.clone()).await?;
        let (mut head, incoming) = answer.into_parts();
        strip(&mut head.headers);
        let bytes = incoming.collect().await.map_err(io::Error::other)?;
        Ok(Response::from_parts(head, body::whole(bytes.to_bytes())))
    }

    async fn damaged(&self, damage: impl FnOnce(Incoming) -> Reply) -> Heard {
        let answer = self.ask(self.call.body.clone()).await?;
        let (mut head, incoming) = answer.into_parts();
        strip(&mut head.headers);
        Ok(Response::from_parts(head, damage(incoming)))
    }

    /// Asks once more when the rule is over, on a connection of its own. Nobody
    /// hears the answer.
    fn echo(&self, gate: Arc<Gate>) {
        let mut line = Line::new(self.connection.shared.upstream.clone());
        let request = self.request(self.call.body.clone());
        tokio::spawn(async move {
            gate.over().await;
            if let Ok(request) = request {
                // A copy that gets lost is no worse than none.
                let _ = line.ask(request).await;
            }
        });
    }

    async fn ask(&self, bytes: Bytes) -> io::Result<Response<Incoming>> {
        let request = self.request(bytes)?;
        self.connection.line.lock().await.ask(request).await
    }

    fn request(&self, bytes: Bytes) -> io::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.call.method.clone())
            .uri(&self.target)
            .body(Full::new(bytes))
            .map_err(io::Error::other)?;
        *request.headers_mut() = self.call.headers.clone();
        // What came in chunks is known as a whole by now.
        if !self.call.body.is_empty() {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, self.call.body.len().into());
        }
        Ok(request)
    }
}

fn strip(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
}

fn refused(answer: &Answer) -> Heard {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response
        .body(body::whole(answer.body.clone()))
        .map_err(io::Error::other)
}
