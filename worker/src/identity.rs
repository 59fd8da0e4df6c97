//! Whose an output object is, and whether it may be replaced.
//!
//! Every output carries its provenance as object metadata. The verdict on an
//! object that is already there is a pure function of that metadata, so every
//! writer that looks at the same object decides the same way.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use etl_contract::{OnExisting, WorkOrder};
use jiff::Timestamp;

use crate::encode::{metadata_value, sha256_hex};
use crate::plan::Input;
use crate::store::{Object, Precondition};

/// Who may replace the object.
pub const OWNER: &str = "etl-owner";
/// Which of two writes of one owner is newer.
pub const ORDER: &str = "etl-order";
/// The run that wrote the object.
pub const RUN: &str = "etl-run";
/// URI of the source object.
pub const SOURCE: &str = "etl-source";
/// Etag of the source object.
pub const SOURCE_ETAG: &str = "etl-source-etag";
/// Digest of everything that determines the content.
pub const DIGEST: &str = "etl-digest";

/// `<run>-<first 12 hex digits of the work hash>`: names a run below its uid.
pub fn run_name(order: &WorkOrder) -> String {
    let hash = order.run.work_hash.rsplit(':').next().unwrap_or_default();
    let short: String = hash
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(12)
        .collect();
    format!("{}-{short}", order.run.number)
}

/// The age of a write: source sequencer, creation of the EtlJob, run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOrder {
    sequencer: String,
    created: Timestamp,
    run: u32,
}

impl WriteOrder {
    /// The order of the writes that `order` asks for.
    pub fn of(order: &WorkOrder) -> Self {
        WriteOrder {
            sequencer: order
                .source
                .sequencer
                .clone()
                .unwrap_or_default()
                .to_ascii_uppercase(),
            created: order.job.created,
            run: order.run.number,
        }
    }

    fn encode(&self) -> String {
        let millis = self.created.as_millisecond();
        metadata_value(&format!("{}:{millis}:{}", self.sequencer, self.run))
    }

    fn decode(text: &str) -> Option<Self> {
        let mut fields = text.split(':');
        let (sequencer, millis, run) = (fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some() {
            return None;
        }
        Some(WriteOrder {
            sequencer: sequencer.to_owned(),
            created: Timestamp::from_millisecond(millis.parse().ok()?).ok()?,
            run: run.parse().ok()?,
        })
    }

    /// Compares what two EtlJobs of one owner can be told apart by. Runs count
    /// within one EtlJob only.
    fn compare(&self, other: &Self, same_job: bool) -> Ordering {
        // Sequencers are hexadecimal and compare as if the shorter one were
        // filled with zeros on its right.
        let width = self.sequencer.len().max(other.sequencer.len());
        let padded = |text: &str| format!("{text:0<width$}");
        padded(&self.sequencer)
            .cmp(&padded(&other.sequencer))
            .then_with(|| {
                self.created
                    .as_millisecond()
                    .cmp(&other.created.as_millisecond())
            })
            .then_with(|| match same_job {
                true => self.run.cmp(&other.run),
                false => Ordering::Equal,
            })
    }
}

/// Provenance of one output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    owner: String,
    order: WriteOrder,
    run: String,
    source: String,
    source_etag: String,
    digest: String,
}

/// What is to be done about an output key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Write, on this condition.
    Write(Precondition),
    /// This very output is there.
    Done,
    /// A newer run of the same owner wrote it.
    Superseded,
    /// Somebody else's, or one that must not be replaced; says which.
    Taken(String),
}

impl Provenance {
    /// Provenance of the output of `input`, read from `source_uri`.
    pub fn new(order: &WorkOrder, engine: &str, input: &Input, source_uri: &str) -> Self {
        let form = serde_json::json!([
            source_uri,
            input.version,
            input.etag,
            input.size,
            input.row_groups,
            engine,
            order.output.format,
            order.output.compression,
            order.output.json,
            order.transform,
            order.schema,
        ]);
        Provenance {
            owner: metadata_value(&order.job.owner),
            order: WriteOrder::of(order),
            run: metadata_value(&format!("{}/{}", order.job.uid, run_name(order))),
            source: metadata_value(source_uri),
            source_etag: metadata_value(input.etag.trim_matches('"')),
            digest: sha256_hex(form.to_string().as_bytes()),
        }
    }

    /// Provenance of the rows that were left out of the output.
    #[must_use]
    pub fn of_quarantine(&self) -> Self {
        Provenance {
            digest: sha256_hex(format!("quarantine of {}", self.digest).as_bytes()),
            ..self.clone()
        }
    }

    /// Digest of everything that determines the content.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The metadata that the object carries.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        [
            (OWNER, self.owner.clone()),
            (ORDER, self.order.encode()),
            (RUN, self.run.clone()),
            (SOURCE, self.source.clone()),
            (SOURCE_ETAG, self.source_etag.clone()),
            (DIGEST, self.digest.clone()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }

    /// Judges what is at the output key.
    pub fn judge(&self, present: Option<&Object>, on_existing: OnExisting) -> Verdict {
        let Some(object) = present else {
            return Verdict::Write(Precondition::Absent);
        };
        let field = |key: &str| object.metadata.get(key).map(String::as_str);
        let same = |key: &str, value: &str| field(key) == Some(value);
        if same(RUN, &self.run) && same(DIGEST, &self.digest) && same(SOURCE, &self.source) {
            return Verdict::Done;
        }
        let job = field(RUN).map(job_of);
        let same_job = job == Some(job_of(&self.run));
        let own = same_job || same(OWNER, &self.owner) && same(SOURCE, &self.source);
        let age = field(ORDER)
            .and_then(WriteOrder::decode)
            .filter(|_| own)
            .map(|found| found.compare(&self.order, same_job));
        let older = match age {
            Some(Ordering::Greater) => return Verdict::Superseded,
            Some(Ordering::Less) => true,
            // Two EtlJobs of one owner, created within the second that such
            // times are told in. Which is newer cannot be known; but one of
            // them, always the same, has to give way.
            Some(Ordering::Equal) => !same_job && job < Some(job_of(&self.run)),
            None => false,
        };
        let replace = match on_existing {
            OnExisting::Replace => true,
            OnExisting::ReplaceOwn => older,
            // What an earlier run of this EtlJob left behind is nobody's result:
            // a run is followed by another when its source changed under it.
            OnExisting::Fail => older && same_job,
        };
        if replace {
            return Verdict::Write(Precondition::Match(object.etag.clone()));
        }
        Verdict::Taken(match age {
            Some(Ordering::Equal) if !same_job => {
                "it was written by another EtlJob of the same owner, created in the same second"
                    .to_owned()
            }
            _ => describe(object),
        })
    }
}

/// Whether a run of the EtlJob with this uid wrote the object.
pub(crate) fn is_of_job(object: &Object, uid: &str) -> bool {
    let run = object.metadata.get(RUN);
    run.is_some_and(|run| job_of(run) == metadata_value(uid))
}

/// Uid of the EtlJob that a run belongs to.
fn job_of(run: &str) -> &str {
    run.split('/').next().unwrap_or_default()
}

/// Who wrote an object, as far as it says so.
fn describe(object: &Object) -> String {
    match (object.metadata.get(OWNER), object.metadata.get(SOURCE)) {
        (Some(owner), Some(source)) => format!("it was written by {owner} from {source}"),
        (Some(owner), None) => format!("it was written by {owner}"),
        (None, _) => "it was not written by an EtlJob".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(number: u32, created: i64, sequencer: Option<&str>) -> WorkOrder {
        let value = serde_json::json!({
            "version": 1,
            "job": {
                "cluster": "c", "namespace": "n", "name": "j", "uid": "u",
                "created": Timestamp::from_second(created).unwrap(), "owner": "c/n/EtlJob/j"
            },
            "run": {
                "number": number, "workHash": "v1:0123456789abcdef0123",
                "startTime": "2026-01-01T00:00:00Z"
            },
            "attempt": 1, "shards": 1, "mode": "Convert", "activeDeadlineSeconds": 60,
            "source": {"uri": "s3://raw/a", "sequencer": sequencer},
            "output": {"uri": "s3://out/", "keyTemplate": "{stem}.json"}
        });
        WorkOrder::from_json(&value.to_string()).unwrap()
    }

    fn input() -> Input {
        Input {
            key: "a".into(),
            version: None,
            etag: "\"1\"".into(),
            size: 1,
            row_groups: None,
            output: "a.json".into(),
        }
    }

    fn provenance(order: &WorkOrder) -> Provenance {
        Provenance::new(order, "engine", &input(), "s3://raw/a")
    }

    fn written_by(provenance: &Provenance) -> Object {
        Object {
            key: "a.json".into(),
            etag: "\"9\"".into(),
            version: None,
            size: 1,
            modified: None,
            metadata: provenance.metadata(),
            crc64: None,
        }
    }

    fn replace() -> Verdict {
        Verdict::Write(Precondition::Match("\"9\"".into()))
    }

    fn of_job(uid: &str, provenance: &Provenance) -> Provenance {
        Provenance {
            run: format!("{uid}/{}", provenance.run.rsplit('/').next().unwrap()),
            ..provenance.clone()
        }
    }

    fn is_taken(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Taken(_))
    }

    #[test]
    fn the_table_of_verdicts() {
        use OnExisting::{Fail, Replace, ReplaceOwn};

        let mine = provenance(&order(2, 100, None));
        let newer = provenance(&order(3, 100, None));
        let recreated = of_job("t", &provenance(&order(1, 200, None)));
        let older_job = of_job("x", &provenance(&order(7, 50, None)));
        let other_source = Provenance {
            source: "s3://raw/b".into(),
            ..older_job.clone()
        };
        let other_owner = Provenance {
            owner: "c/n/EtlJob/x".into(),
            ..older_job.clone()
        };
        let judge = |found: &Provenance, policy| mine.judge(Some(&written_by(found)), policy);

        for policy in [ReplaceOwn, Replace, Fail] {
            let absent = Verdict::Write(Precondition::Absent);
            assert_eq!(mine.judge(None, policy), absent);
            assert_eq!(judge(&mine, policy), Verdict::Done);
            assert_eq!(judge(&newer, policy), Verdict::Superseded);
            assert_eq!(judge(&recreated, policy), Verdict::Superseded);
        }
        assert_eq!(judge(&older_job, ReplaceOwn), replace());
        assert!(is_taken(&judge(&older_job, Fail)));
        for foreign in [&other_source, &other_owner] {
            assert!(is_taken(&judge(foreign, ReplaceOwn)), "{foreign:?}");
            assert!(is_taken(&judge(foreign, Fail)), "{foreign:?}");
            assert_eq!(judge(foreign, Replace), replace());
        }
    }

    #[test]
    fn earlier_runs_of_the_same_job_give_way_under_every_policy() {
        let mine = provenance(&order(2, 100, None));
        let first = provenance(&order(1, 100, None));
        let from_elsewhere = Provenance {
            source: "s3://raw/x/a".into(),
            ..first.clone()
        };
        for policy in [
            OnExisting::ReplaceOwn,
            OnExisting::Replace,
            OnExisting::Fail,
        ] {
            for found in [&first, &from_elsewhere] {
                let verdict = mine.judge(Some(&written_by(found)), policy);
                assert_eq!(verdict, replace(), "{policy:?}");
                let late = found.judge(Some(&written_by(&mine)), policy);
                assert_eq!(late, Verdict::Superseded, "{policy:?}");
            }
        }
    }

    #[test]
    fn of_two_jobs_of_one_second_exactly_one_gives_way() {
        // The run says nothing about two different EtlJobs.
        for (first, second) in [(1, 1), (1, 2), (2, 1)] {
            let low = of_job("a", &provenance(&order(first, 100, None)));
            let high = of_job("b", &provenance(&order(second, 100, None)));
            let verdict = high.judge(Some(&written_by(&low)), OnExisting::ReplaceOwn);
            assert_eq!(verdict, replace());
            // Not superseded: that would call it complete, and nobody knows
            // whether the other one is the newer.
            let verdict = low.judge(Some(&written_by(&high)), OnExisting::ReplaceOwn);
            let Verdict::Taken(who) = verdict else {
                panic!("{verdict:?}");
            };
            assert!(who.contains("created in the same second"), "{who}");
        }
    }

    #[test]
    fn an_object_without_provenance_is_somebody_elses() {
        let mine = provenance(&order(2, 100, None));
        let bare = Object {
            metadata: BTreeMap::new(),
            ..written_by(&mine)
        };
        assert_eq!(
            mine.judge(Some(&bare), OnExisting::ReplaceOwn),
            Verdict::Taken("it was not written by an EtlJob".into())
        );
        assert_eq!(mine.judge(Some(&bare), OnExisting::Replace), replace());
    }

    #[test]
    fn the_same_run_with_other_content_is_not_done() {
        let mine = provenance(&order(2, 100, None));
        let other = Provenance::new(&order(2, 100, None), "engine 2", &input(), "s3://raw/a");
        let verdict = mine.judge(Some(&written_by(&other)), OnExisting::ReplaceOwn);
        assert!(matches!(verdict, Verdict::Taken(_)), "{verdict:?}");
    }

    #[test]
    fn sequencers_decide_before_the_age_of_the_job() {
        let older = WriteOrder::of(&order(1, 900, Some("0055aed6dcd9")));
        let newer = WriteOrder::of(&order(1, 100, Some("0055aed6dcd90281e5")));
        assert_eq!(older.compare(&newer, false), Ordering::Less);
        let padded = WriteOrder::of(&order(1, 900, Some("0055AED6DCD900")));
        assert_eq!(padded.compare(&older, false), Ordering::Equal);
    }

    #[test]
    fn an_order_survives_its_encoding() {
        let original = WriteOrder::of(&order(7, 1234, Some("00AB")));
        assert_eq!(WriteOrder::decode(&original.encode()), Some(original));
        for text in ["", "a:b:c", "A:1", "A:1:2:3"] {
            assert_eq!(WriteOrder::decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_run_is_named_by_number_and_hash() {
        assert_eq!(run_name(&order(3, 0, None)), "3-0123456789ab");
    }
}
