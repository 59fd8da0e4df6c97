//! The order of the output: what threads finish in any order leaves in one.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes};

use super::outbox::Outbox;
use crate::batch::Encoded;
use crate::compress::{Cutter, Frame};
use crate::options::{Compression, Format};
use crate::validate::Rejection;

/// What leaves next.
#[derive(Debug)]
pub(super) enum Output {
    Chunk(Bytes),
    Rejected(Vec<Rejection>),
    Quarantine(Bytes),
    NotYet,
    End,
}

/// The one stream that the sink gets, and what is said of rejected rows.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) outbox: Outbox,
    format: Format,
    stage: Stage,
    /// Bytes of JSON before compression.
    json_bytes: u64,
    /// What came between two chunks of JSON and leaves first.
    aside: Option<Output>,
    frames: Option<Frames>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Head,
    /// Before the first row.
    First,
    Rows,
    End,
}

impl Outlet {
    pub(super) fn new(
        outbox: Outbox,
        format: Format,
        compression: Compression,
        frames_at_once: u64,
    ) -> Self {
        Self {
            outbox,
            format,
            stage: Stage::Head,
            json_bytes: 0,
            aside: None,
            frames: (compression != Compression::None).then(|| Frames::new(frames_at_once)),
        }
    }

    /// Rows read of what has left.
    pub(super) fn rows(&self) -> u64 {
        self.outbox.rows()
    }

    pub(super) fn json_bytes(&self) -> u64 {
        self.json_bytes
    }

    /// Whether all has left.
    pub(super) fn is_at_end(&self) -> bool {
        let frames = self.frames.as_ref();
        self.stage == Stage::End && frames.is_none_or(Frames::are_at_end)
    }

    /// Whether [`next`](Self::next) may come further than when it was asked last.
    pub(super) fn is_ready(&self) -> bool {
        let frames = self.frames.as_ref();
        self.outbox.is_ready() || frames.is_some_and(Frames::is_ready)
    }

    /// What leaves next, if it is there.
    pub(super) fn next(&mut self) -> Output {
        let output = match self.frames.take() {
            Some(mut frames) => {
                let output = frames.next(self);
                self.frames = Some(frames);
                output
            }
            None => match self.json() {
                Some(chunk) => Output::Chunk(chunk),
                None if self.stage == Stage::End => Output::End,
                None => Output::NotYet,
            },
        };
        match output {
            Output::NotYet => self.aside.take().unwrap_or(Output::NotYet),
            output => output,
        }
    }

    /// A frame to compress.
    pub(super) fn take_frame(&mut self) -> Option<Frame> {
        self.frames.as_mut()?.waiting.pop_front()
    }

    pub(super) fn has_frame(&self) -> bool {
        let frames = self.frames.as_ref();
        frames.is_some_and(|frames| !frames.waiting.is_empty())
    }

    pub(super) fn put_frame(&mut self, number: u64, compressed: Bytes) {
        if let Some(frames) = &mut self.frames {
            frames.compressed.insert(number, compressed);
        }
    }

    /// The next bytes of JSON: head, rows, tail. `None` also while there is
    /// something aside.
    fn json(&mut self) -> Option<Bytes> {
        let chunk = loop {
            let chunk = match self.stage {
                Stage::End => return None,
                Stage::Head => {
                    self.stage = Stage::First;
                    Bytes::from_static(self.format.head())
                }
                Stage::First | Stage::Rows => match self.rows_of_json() {
                    Some(rows) => rows,
                    None if self.aside.is_none() && self.outbox.is_at_end() => {
                        self.stage = Stage::End;
                        Bytes::from_static(self.format.tail())
                    }
                    None => return None,
                },
            };
            if !chunk.is_empty() {
                break chunk;
            }
        };
        self.json_bytes += chunk.len() as u64;
        Some(chunk)
    }

    fn rows_of_json(&mut self) -> Option<Bytes> {
        if self.aside.is_some() {
            return None;
        }
        match self.outbox.pop()? {
            Encoded::Rejected(rows) => self.aside = Some(Output::Rejected(rows)),
            Encoded::Quarantine(lines) => self.aside = Some(Output::Quarantine(lines)),
            Encoded::Chunk(mut rows) => {
                // All rows of the batches before may have been rejected.
                let is_first = self.stage == Stage::First && self.format == Format::JsonArray;
                if is_first && rows.starts_with(b",") {
                    rows.advance(1);
                }
                if !rows.is_empty() {
                    self.stage = Stage::Rows;
                }
                return Some(rows);
            }
        }
        None
    }
}

/// Frames on their way through the compressors.
#[derive(Debug)]
struct Frames {
    cutter: Cutter,
    finished: bool,
    waiting: VecDeque<Frame>,
    compressed: BTreeMap<u64, Bytes>,
    cut: u64,
    next: u64,
    at_once: u64,
}

impl Frames {
    fn new(at_once: u64) -> Self {
        Self {
            cutter: Cutter::default(),
            finished: false,
            waiting: VecDeque::new(),
            compressed: BTreeMap::new(),
            cut: 0,
            next: 0,
            at_once,
        }
    }

    fn is_ready(&self) -> bool {
        self.compressed.contains_key(&self.next)
    }

    fn are_at_end(&self) -> bool {
        self.finished && self.next == self.cut
    }

    fn next(&mut self, stream: &mut Outlet) -> Output {
        self.cut_more(stream);
        if let Some(frame) = self.compressed.remove(&self.next) {
            self.next += 1;
            return Output::Chunk(frame);
        }
        if self.are_at_end() {
            return Output::End;
        }
        Output::NotYet
    }

    fn cut_more(&mut self, stream: &mut Outlet) {
        while !self.finished && self.cut - self.next < self.at_once {
            if let Some(json) = stream.json() {
                self.cutter.push(json, |frame| {
                    self.cut += 1;
                    self.waiting.push_back(frame);
                });
            } else if stream.stage == Stage::End {
                self.finished = true;
                if let Some(frame) = self.cutter.finish() {
                    self.cut += 1;
                    self.waiting.push_back(frame);
                }
            } else {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlet(format: Format, batches: u64) -> Outlet {
        Outlet::new(Outbox::new(batches, 100), format, Compression::None, 2)
    }

    fn text(text: &'static str) -> Encoded {
        Encoded::Chunk(Bytes::from_static(text.as_bytes()))
    }

    fn drain(outlet: &mut Outlet) -> (String, bool) {
        let mut all = Vec::new();
        loop {
            match outlet.next() {
                Output::Chunk(chunk) => all.extend(chunk),
                Output::Quarantine(lines) => all.extend([b"<", &lines[..], b">"].concat()),
                end => {
                    let text = String::from_utf8(all).unwrap();
                    return (text, matches!(end, Output::End));
                }
            }
        }
    }

    #[test]
    fn batches_leave_in_order_however_they_come() {
        let mut outlet = outlet(Format::JsonArray, 3);
        outlet.outbox.push(2, text(",{3}"));
        outlet.outbox.finish(2, 1);
        assert_eq!(drain(&mut outlet), ("[".to_owned(), false));
        outlet.outbox.finish(0, 0);
        outlet.outbox.push(1, text(",{1}"));
        assert_eq!(drain(&mut outlet), ("{1}".to_owned(), false));
        outlet.outbox.push(1, text(",{2}"));
        outlet.outbox.finish(1, 2);
        assert_eq!(drain(&mut outlet), (",{2},{3}]".to_owned(), true));
        assert_eq!((outlet.rows(), outlet.json_bytes()), (3, 13));
    }

    #[test]
    fn no_batches_are_a_head_and_a_tail() {
        assert_eq!(
            drain(&mut outlet(Format::JsonArray, 0)),
            ("[]".to_owned(), true)
        );
        assert_eq!(
            drain(&mut outlet(Format::JsonLines, 0)),
            (String::new(), true)
        );
    }

    #[test]
    fn frames_leave_in_order_and_no_more_than_allowed_are_under_way() {
        let outbox = Outbox::new(1, 100);
        let mut outlet = Outlet::new(outbox, Format::JsonLines, Compression::Zstd, 2);
        let line = Bytes::from([vec![b'x'; (1 << 20) - 1], vec![b'\n']].concat());
        for _ in 0..4 {
            outlet.outbox.push(0, Encoded::Chunk(line.clone()));
        }
        assert_eq!(drain(&mut outlet), (String::new(), false));
        let frames: Vec<Frame> = std::iter::from_fn(|| outlet.take_frame()).collect();
        assert_eq!(frames.len(), 2);
        outlet.put_frame(1, Bytes::from_static(b"second"));
        assert_eq!(drain(&mut outlet), (String::new(), false));
        outlet.put_frame(0, Bytes::from_static(b"first "));
        assert_eq!(drain(&mut outlet), ("first second".to_owned(), false));
        outlet.outbox.finish(0, 4);
        assert_eq!(drain(&mut outlet), (String::new(), false));
        assert!(outlet.has_frame());
    }

    #[test]
    fn what_is_said_of_rejected_rows_keeps_its_place() {
        for compression in [Compression::None, Compression::Gzip] {
            let outbox = Outbox::new(2, 100);
            let mut outlet = Outlet::new(outbox, Format::JsonArray, compression, 9);
            outlet
                .outbox
                .push(0, Encoded::Quarantine(Bytes::from_static(b"a")));
            outlet.outbox.finish(0, 1);
            outlet
                .outbox
                .push(1, Encoded::Quarantine(Bytes::from_static(b"b")));
            outlet.outbox.push(1, text(",{1}"));
            outlet.outbox.finish(1, 2);
            let (mut all, _) = drain(&mut outlet);
            for frame in std::iter::from_fn(|| outlet.take_frame()).collect::<Vec<_>>() {
                outlet.put_frame(frame.number, Bytes::from_static(b"frame"));
            }
            let (rest, end) = drain(&mut outlet);
            all += &rest;
            let expected = match compression {
                Compression::None => "[<a><b>{1}]",
                _ => "<a><b>frame",
            };
            assert_eq!((all.as_str(), end), (expected, true));
            assert_eq!((outlet.rows(), outlet.json_bytes()), (3, 5));
        }
    }
}
