//! One request and its answer on a connection, with what goes wrong in between.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use tokio::time::sleep;

use crate::answer::Answer;
use crate::fault::Fault;
use crate::operations::carry_out;
use crate::pace::{Line, pass};
use crate::request::{Call, Operation};
use crate::server::{Record, Shared};

/// Bytes that leave at once.
const FRAME_BYTES: usize = 128 << 10;

pub(crate) type Body = StreamBody<BoxStream<'static, io::Result<Frame<Bytes>>>>;

/// One connection: its two directions and what all connections share.
#[derive(Debug)]
pub(crate) struct Connection {
    number: u64,
    up: Line,
    down: Line,
    shared: Arc<Shared>,
}

impl Connection {
    pub(crate) fn new(number: u64, shared: Arc<Shared>) -> Self {
        let rate = shared.profile.connection_rate;
        Connection {
            number,
            up: Line::new(rate),
            down: Line::new(rate),
            shared,
        }
    }

    /// Serves one request. An error closes the connection.
    pub(crate) async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> io::Result<Response<Body>> {
        let (parts, incoming) = request.into_parts();
        let call = Call::parse(&parts);
        let fault = self.shared.lock().script.strikes(&call);
        let place = self.shared.begin(Record {
            operation: call.operation,
            bucket: call.bucket.clone(),
            key: call.key.clone(),
            range: call.header("range").map(str::to_owned),
            part: call.part_number(),
            connection: self.number,
            fault,
            status: None,
        });
        let body = self.take(incoming, fault).await?;
        let profile = &self.shared.profile;
        sleep(if call.operation.writes() {
            profile.write_latency
        } else {
            profile.read_latency
        })
        .await;
        let answer = self.answer(&call, body, fault).await?;
        self.shared.end(place, answer.status);
        Ok(self.send(answer, fault))
    }

    /// The body of a request, at the pace of the line.
    async fn take(&self, mut incoming: Incoming, fault: Option<Fault>) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(io::Error::other)?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if let Some(Fault::StallIntake(bytes)) = fault
                && body.len() + data.len() > bytes
            {
                std::future::pending::<()>().await;
            }
            pass(&[&self.up, &self.shared.up], data.len()).await;
            body.extend_from_slice(&data);
        }
        Ok(body.freeze())
    }

    async fn answer(&self, call: &Call, body: Bytes, fault: Option<Fault>) -> io::Result<Answer> {
        let closed = || io::Error::from(io::ErrorKind::ConnectionReset);
        let carry_out = |call: &Call, body| carry_out(&mut self.shared.lock().buckets, call, body);
        match fault {
            Some(Fault::Refuse(status, code)) => Ok(refusal(call, status, code)),
            Some(Fault::LateError(code)) => Ok(Answer {
                status: 200,
                ..Answer::error(200, code)
            }),
            Some(Fault::Reset) => Err(closed()),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::LostReply) => {
                carry_out(call, body);
                Err(closed())
            }
            Some(Fault::RefuseAfterEffect(status, code)) => {
                carry_out(call, body);
                Ok(refusal(call, status, code))
            }
            Some(Fault::Late(milliseconds)) => {
                let answer = carry_out(call, body);
                sleep(Duration::from_millis(milliseconds)).await;
                Ok(answer)
            }
            Some(Fault::IgnoreRange) => Ok(carry_out(&call.without_range(), body)),
            Some(Fault::ShiftRange(bytes)) => Ok(carry_out(&call.with_range_later(bytes), body)),
            None
            | Some(
                Fault::BreakOff(_)
                | Fault::Short(_)
                | Fault::Corrupt(_)
                | Fault::Stall(_)
                | Fault::Trickle(_)
                | Fault::StallIntake(_),
            ) => Ok(carry_out(call, body)),
        }
    }

    /// The answer on the wire.
    fn send(self: Arc<Self>, mut answer: Answer, fault: Option<Fault>) -> Response<Body> {
        if let Some(Fault::Short(bytes)) = fault {
            let length = answer.body.len().saturating_sub(bytes);
            answer.body.truncate(length);
        }
        if let Some(Fault::Corrupt(offset)) = fault {
            let mut body = BytesMut::from(&answer.body[..]);
            if let Some(byte) = body.get_mut(offset) {
                *byte ^= 0x10;
            }
            answer.body = body.freeze();
        }
        let length = answer.stated.unwrap_or(answer.body.len() as u64);
        let mut response = Response::builder()
            .status(answer.status)
            .header("content-length", length)
            .header("x-amz-request-id", "0");
        for (name, value) in &answer.headers {
            response = response.header(name, value);
        }
        let body = Sending {
            connection: self,
            left: answer.body,
            sent: 0,
            fault,
        };
        let frames = stream::unfold(body, Sending::next).boxed();
        response
            .body(StreamBody::new(frames))
            .expect("headers that came in can go out")
    }
}

fn refusal(call: &Call, status: u16, code: &str) -> Answer {
    let mut answer = Answer::error(status, code);
    if matches!(
        call.operation,
        Operation::HeadObject | Operation::HeadBucket
    ) {
        answer.body = Bytes::new();
    }
    answer
}

/// A body on its way.
struct Sending {
    connection: Arc<Connection>,
    left: Bytes,
    sent: usize,
    fault: Option<Fault>,
}

impl Sending {
    async fn next(mut self) -> Option<(io::Result<Frame<Bytes>>, Self)> {
        if self.left.is_empty() {
            return None;
        }
        let mut size = self.left.len().min(FRAME_BYTES);
        if let Some(Fault::BreakOff(bytes) | Fault::Stall(bytes)) = self.fault {
            size = size.min(bytes.saturating_sub(self.sent));
            if size == 0 {
                return Some((self.end().await, self));
            }
        }
        if let Some(Fault::Trickle(rate)) = self.fault {
            // Ten times a second.
            size = size.min(usize::try_from(rate / 10).unwrap_or(size).max(1));
            sleep(Duration::from_millis(100)).await;
        }
        let frame = self.left.split_to(size);
        self.sent += size;
        let connection = &self.connection;
        pass(&[&connection.down, &connection.shared.down], size).await;
        Some((Ok(Frame::data(frame)), self))
    }

    /// What comes instead of the rest.
    async fn end(&self) -> io::Result<Frame<Bytes>> {
        if let Some(Fault::Stall(_)) = self.fault {
            let nothing: Infallible = std::future::pending().await;
            match nothing {}
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}
