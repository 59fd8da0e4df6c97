//! What goes wrong.

use std::time::Duration;

use bytes::Bytes;

/// One way in which a request goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The server hears of it so much later.
    Late(Duration),
    /// The server hears of it when the rule is over.
    Hold,
    /// The answer comes so much later.
    LateReply(Duration),
    /// The answer comes when the rule is over.
    HoldReply,
    /// The connection is closed without an answer; the server heard nothing.
    Reset,
    /// The server did it, and the connection is closed without an answer.
    LostReply,
    /// The server is asked twice; the second answer counts.
    Duplicate,
    /// All is well, and when the rule is over the server is asked once more: as if
    /// the network had kept a copy of the request.
    Echo,
    /// Refused with this answer; the server heard nothing.
    Refuse(Answer),
    /// The server did it, and this answer is given instead of its own.
    RefuseAfterEffect(Answer),
    /// The answer's body ends after so many bytes with the connection.
    BreakOff(usize),
    /// The answer's body comes at so many bytes per second.
    Trickle(u64),
    /// One bit of the byte at this offset of the request's body is turned; of the
    /// last one if the body is shorter.
    CorruptRequest(usize),
    /// One bit of the byte at this offset of the answer's body is turned.
    CorruptReply(usize),
}

impl Fault {
    /// Its name in records: a word per kind.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Fault::Late(_) => "Late",
            Fault::Hold => "Hold",
            Fault::LateReply(_) => "LateReply",
            Fault::HoldReply => "HoldReply",
            Fault::Reset => "Reset",
            Fault::LostReply => "LostReply",
            Fault::Duplicate => "Duplicate",
            Fault::Echo => "Echo",
            Fault::Refuse(_) => "Refuse",
            Fault::RefuseAfterEffect(_) => "RefuseAfterEffect",
            Fault::BreakOff(_) => "BreakOff",
            Fault::Trickle(_) => "Trickle",
            Fault::CorruptRequest(_) => "CorruptRequest",
            Fault::CorruptReply(_) => "CorruptReply",
        }
    }
}

/// An answer that the server did not give.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers, by name and value.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// As a Kubernetes API server refuses: a `Status` object. `retry_after` is in
    /// seconds.
    #[must_use]
    pub fn kubernetes(status: u16, reason: &str, retry_after: Option<u32>) -> Self {
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("refused on purpose: {reason}"),
            "reason": reason, "code": status,
        });
        let mut headers = vec![("content-type", "application/json".to_owned())];
        headers.extend(retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        Answer {
            status,
            headers,
            body: body.to_string().into(),
        }
    }

    /// As S3 refuses: an XML error.
    #[must_use]
    pub fn s3(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>refused on purpose</Message><RequestId>0</RequestId></Error>"
        );
        Answer {
            status,
            headers: vec![("content-type", "application/xml".to_owned())],
            body: body.into(),
        }
    }

    /// As `DynamoDB` refuses: the name of an exception.
    #[must_use]
    pub fn dynamodb(status: u16, exception: &str) -> Self {
        let kind = format!("com.amazonaws.dynamodb.v20120810#{exception}");
        let body = serde_json::json!({"__type": kind, "message": "refused on purpose"});
        Answer {
            status,
            headers: vec![("content-type", "application/x-amz-json-1.0".to_owned())],
            body: body.to_string().into(),
        }
    }
}

/// One way in which a watch event goes wrong.
#[derive(Debug, Clone)]
pub enum EventFault {
    /// It comes when the rule is over, and everything behind it later.
    Hold,
    /// It comes so much later, and so does everything behind it.
    Late(Duration),
    /// It never comes; what is behind it does.
    Drop,
    /// The connection ends in its place.
    Cut,
    /// 410 comes in its place, and the watch ends, as when the server has
    /// forgotten the revision that the client knows.
    Gone,
    /// Nothing comes on this connection any more, and it stays open.
    Silence,
}
