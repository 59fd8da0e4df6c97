//! What the server says, before anything goes wrong with it.

use bytes::Bytes;

use crate::xml;

/// Status, headers and body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// Length that is stated if it is not the body's: the answer to a HEAD.
    pub(crate) stated: Option<u64>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Answer {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            stated: None,
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With a body of XML.
    pub(crate) fn xml(status: u16, body: &str) -> Self {
        let mut answer = Answer::new(status).with("content-type", "application/xml");
        answer.body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into();
        answer
    }

    pub(crate) fn error(status: u16, code: &str) -> Self {
        let message = format!("{code}, says the server");
        let body = xml::element("Code", code) + &xml::element("Message", &message);
        Answer::xml(status, &format!("<Error>{body}</Error>"))
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    BadDigest,
    EntityTooSmall,
    InvalidPart,
    InvalidPartOrder,
    InvalidRange,
    InvalidRequest,
    MalformedXml,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    NoSuchVersion,
    NotImplemented,
    PreconditionFailed,
}

impl Refusal {
    pub(crate) fn answer(self) -> Answer {
        let (status, code) = match self {
            Refusal::BadDigest => (400, "BadDigest"),
            Refusal::EntityTooSmall => (400, "EntityTooSmall"),
            Refusal::InvalidPart => (400, "InvalidPart"),
            Refusal::InvalidPartOrder => (400, "InvalidPartOrder"),
            Refusal::InvalidRange => (416, "InvalidRange"),
            Refusal::InvalidRequest => (400, "InvalidRequest"),
            Refusal::MalformedXml => (400, "MalformedXML"),
            Refusal::NoSuchBucket => (404, "NoSuchBucket"),
            Refusal::NoSuchKey => (404, "NoSuchKey"),
            Refusal::NoSuchUpload => (404, "NoSuchUpload"),
            Refusal::NoSuchVersion => (404, "NoSuchVersion"),
            Refusal::NotImplemented => (501, "NotImplemented"),
            Refusal::PreconditionFailed => (412, "PreconditionFailed"),
        };
        Answer::error(status, code)
    }
}
