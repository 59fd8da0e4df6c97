//! What goes wrong, and with which requests.

use crate::request::{Call, Operation};

/// One way in which a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Refused with this status and error code; nothing was done.
    Refuse(u16, &'static str),
    /// The connection is closed without an answer; nothing was done.
    Reset,
    /// The request is carried out, and the connection closed without an answer.
    LostReply,
    /// The request is carried out, and answered with this status and error code.
    RefuseAfterEffect(u16, &'static str),
    /// Status 200 and an error in the body; nothing was done.
    LateError(&'static str),
    /// No answer ever; nothing was done.
    Silence,
    /// Carried out, and answered this many milliseconds later than usual.
    Late(u64),
    /// The body ends after this many bytes with the connection.
    BreakOff(usize),
    /// The body, and the length that is stated, lack this many bytes at the end.
    Short(usize),
    /// One bit of the byte at this offset of the body is turned.
    Corrupt(usize),
    /// After this many bytes of the body nothing more comes.
    Stall(usize),
    /// The body comes at this many bytes per second.
    Trickle(u64),
    /// The whole object instead of the range that was asked for.
    IgnoreRange,
    /// The range that was asked for, taken this many bytes later.
    ShiftRange(u64),
    /// The server stops taking the request's body after this many bytes.
    StallIntake(usize),
}

impl Fault {
    /// 503 as S3 says it to whoever asks too much.
    pub const SLOW_DOWN: Fault = Fault::Refuse(503, "SlowDown");
    /// 500, after which the SDKs try again.
    pub const INTERNAL_ERROR: Fault = Fault::Refuse(500, "InternalError");
    /// 503 of a service that is away.
    pub const UNAVAILABLE: Fault = Fault::Refuse(503, "ServiceUnavailable");
}

/// Which requests go wrong, and how.
#[derive(Clone, Debug)]
pub struct Rule {
    operation: Operation,
    key: Option<String>,
    skip: u64,
    every: u64,
    count: u64,
    fault: Fault,
    seen: u64,
}

/// A [`Rule`] that lacks its fault.
#[derive(Clone, Debug)]
pub struct Matching(Rule);

impl Rule {
    /// Requests of this kind.
    #[must_use]
    pub fn on(operation: Operation) -> Matching {
        Matching(Rule {
            operation,
            key: None,
            skip: 0,
            every: 1,
            count: u64::MAX,
            fault: Fault::Reset,
            seen: 0,
        })
    }

    /// The fault of the next request, if it is one that goes wrong.
    fn strikes(&mut self, call: &Call) -> Option<Fault> {
        if self.operation != call.operation || self.key.as_ref().is_some_and(|key| *key != call.key)
        {
            return None;
        }
        let place = self.seen;
        self.seen += 1;
        let since = place.checked_sub(self.skip)?;
        (since.is_multiple_of(self.every) && since / self.every < self.count).then_some(self.fault)
    }
}

impl Matching {
    /// Only requests for this key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.key = Some(key.to_owned());
        self
    }

    /// Not the first `requests` of them.
    #[must_use]
    pub fn skip(mut self, requests: u64) -> Self {
        self.0.skip = requests;
        self
    }

    /// Only one in `requests`.
    #[must_use]
    pub fn every(mut self, requests: u64) -> Self {
        self.0.every = requests.max(1);
        self
    }

    /// The next one goes wrong.
    #[must_use]
    pub fn once(self, fault: Fault) -> Rule {
        self.times(1, fault)
    }

    /// The next `count` go wrong.
    #[must_use]
    pub fn times(mut self, count: u64, fault: Fault) -> Rule {
        self.0.count = count;
        self.0.fault = fault;
        self.0
    }

    /// All of them go wrong.
    #[must_use]
    pub fn always(self, fault: Fault) -> Rule {
        self.times(u64::MAX, fault)
    }
}

/// All rules; of several that strike, the first wins.
#[derive(Debug, Default)]
pub(crate) struct Script(Vec<Rule>);

impl Script {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn strikes(&mut self, call: &Call) -> Option<Fault> {
        // Every rule counts the request, whichever wins.
        let struck: Vec<Fault> = self
            .0
            .iter_mut()
            .filter_map(|rule| rule.strikes(call))
            .collect();
        struck.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(rule: Rule, calls: &[(Operation, &str)]) -> Vec<bool> {
        let mut script = Script::default();
        script.add(rule);
        calls
            .iter()
            .map(|(operation, key)| script.strikes(&Call::new(*operation, "b", key)).is_some())
            .collect()
    }

    #[test]
    fn a_rule_counts_only_what_it_is_about() {
        use Operation::{GetObject, HeadObject};
        let calls = [
            (GetObject, "a"),
            (HeadObject, "a"),
            (GetObject, "b"),
            (GetObject, "a"),
            (GetObject, "a"),
        ];
        let rule = Rule::on(GetObject).key("a").skip(1).once(Fault::Reset);
        assert_eq!(struck(rule, &calls), [false, false, false, true, false]);
        let rule = Rule::on(GetObject).every(2).always(Fault::Reset);
        assert_eq!(struck(rule, &calls), [true, false, false, true, false]);
        let rule = Rule::on(GetObject).every(2).times(1, Fault::Reset);
        assert_eq!(struck(rule, &calls), [true, false, false, false, false]);
    }
}
