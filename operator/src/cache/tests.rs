use futures::FutureExt;

use super::*;
use crate::simulation::fixture;

fn typical() -> EtlJob {
    serde_json::from_slice(TYPICAL).unwrap()
}

fn named(namespace: &str, name: &str, uid: &str) -> EtlJob {
    let mut job = typical();
    job.metadata.namespace = Some(namespace.into());
    job.metadata.name = Some(name.into());
    job.metadata.uid = Some(uid.into());
    job
}

fn listed(jobs: impl IntoIterator<Item = EtlJob>) -> Cache {
    let cache = Cache::new();
    relist(&cache, jobs);
    cache
}

fn relist(cache: &Cache, jobs: impl IntoIterator<Item = EtlJob>) {
    cache.apply(Event::Init);
    for job in jobs {
        cache.apply(Event::InitApply(job));
    }
    cache.apply(Event::InitDone);
}

#[test]
fn what_comes_out_is_what_went_in_but_for_what_no_pass_looks_at() {
    for job in [typical(), fixture::etljob()] {
        let mut decorated = job.clone();
        decorated.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
        decorated.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        decorated.metadata.managed_fields = Some(Vec::new());
        let resident = Resident::from(&job);
        let cache = listed([decorated]);
        let kept = cache.get(&resident.namespace, &resident.name).unwrap();
        let text = |job: &EtlJob| serde_json::to_string(job).unwrap();
        assert_eq!(text(&kept), text(&pruned(job)));
    }
}

/// At 100,000 EtlJobs every byte counts for 0.1 MB.
#[test]
fn an_etljob_at_rest_takes_less_than_a_kilobyte() {
    let jobs: Vec<EtlJob> = (0..100)
        .map(|number| {
            // The same length and nothing else in common.
            let unlike = |text: &str| {
                let mut random = fastrand::Rng::with_seed(number);
                let letter = |c: char| match c {
                    '0'..='9' => random.digit(10),
                    'a'..='z' => random.lowercase(),
                    other => other,
                };
                text.chars().map(letter).collect::<String>()
            };
            let mut job = named(
                "etl",
                &unlike("yellow-tripdata-2021-01"),
                &unlike(fixture::UID),
            );
            job.spec.source.uri = unlike(&job.spec.source.uri).replace(&unlike("s3"), "s3");
            let status = job.status.as_mut().unwrap();
            for condition in &mut status.conditions {
                condition.message = unlike(&condition.message);
            }
            for attempt in &mut status.attempts {
                attempt.message = unlike(&attempt.message);
            }
            let output = status.output.as_mut().unwrap();
            output.manifest_uri = unlike(&output.manifest_uri);
            job
        })
        .collect();
    let shelf = jobs.into_iter().map(|job| {
        let (_, name, packed) = pack(job);
        let fields = size_of::<Packed>() + size_of::<(Arc<str>, Arc<Packed>)>();
        fields + name.len() + packed.wish.uid.len() + packed.bytes.len()
    });
    let bytes = shelf.sum::<usize>() / 100;
    assert!(bytes < 1024, "{bytes} bytes");
}

#[test]
fn a_list_replaces_what_was_there_when_it_is_complete() {
    let cache = listed([named("a", "x", "1"), named("b", "y", "2")]);
    cache.apply(Event::Init);
    cache.apply(Event::InitApply(named("a", "x", "3")));
    assert_eq!(*cache.wish("a", "x").unwrap().uid, *"1");
    assert!(cache.get("b", "y").is_some());
    cache.apply(Event::InitDone);
    assert_eq!(*cache.wish("a", "x").unwrap().uid, *"3");
    assert!(cache.get("b", "y").is_none());
}

#[test]
fn a_list_that_brings_what_is_known_takes_no_memory() {
    let cache = listed([named("a", "x", "1"), named("a", "y", "2")]);
    let known = cache.find("a", "x").unwrap();
    let mut changed = named("a", "y", "2");
    changed.metadata.resource_version = Some("9".into());
    relist(&cache, [named("a", "x", "1"), changed]);
    assert!(Arc::ptr_eq(&known, &cache.find("a", "x").unwrap()));
    let version = cache
        .get("a", "y")
        .unwrap()
        .metadata
        .resource_version
        .clone();
    assert_eq!(version.as_deref(), Some("9"));
}

#[test]
fn single_events_change_single_etljobs() {
    let cache = listed([named("a", "x", "1")]);
    cache.apply(Event::Apply(named("a", "y", "2")));
    cache.apply(Event::Delete(named("a", "x", "1")));
    assert_eq!(cache.residents(), [Resident::from(&named("a", "y", "2"))]);
    cache.apply(Event::Delete(named("a", "y", "2")));
    cache.apply(Event::Delete(named("a", "never", "3")));
    assert!(cache.read().jobs.is_empty());
}

#[test]
fn it_is_complete_after_the_first_list() {
    let cache = Cache::new();
    cache.apply(Event::Init);
    cache.apply(Event::InitApply(typical()));
    assert!(cache.complete().now_or_never().is_none());
    cache.apply(Event::InitDone);
    assert!(cache.complete().now_or_never().is_some());
}

#[test]
fn etljobs_are_counted_by_phase() {
    let mut new = named("a", "x", "1");
    new.status = None;
    let cache = listed([new, named("a", "y", "2"), named("b", "z", "3")]);
    let mut counts = Counts::default();
    cache.count(&mut counts);
    let mut expected = Counts::default();
    expected[Phase::Pending as usize] = 1;
    expected[Phase::Complete as usize] = 2;
    assert_eq!(counts, expected);
}

#[test]
fn a_wish_is_a_change_of_the_spec_the_begin_of_a_deletion_or_another_uid() {
    let job = fixture::etljob();
    let wish = |change: fn(&mut EtlJob)| {
        let mut job = fixture::etljob();
        change(&mut job);
        Wish::from(&job)
    };
    let known = Wish::from(&job);
    assert_eq!(
        known,
        wish(|job| {
            job.metadata.resource_version = Some("9".into());
            job.status = None;
        })
    );
    let changes: [fn(&mut EtlJob); 3] = [
        |job| job.metadata.generation = Some(2),
        |job| job.metadata.deletion_timestamp = job.metadata.creation_timestamp.clone(),
        |job| job.metadata.uid = Some("another".into()),
    ];
    for change in changes {
        assert_ne!(known, wish(change));
    }
}
