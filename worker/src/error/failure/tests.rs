use etl_contract::Action;
use etl_engine::{Place, ReadError};

use super::*;

fn store(kind: Kind) -> StoreError {
    StoreError::new(kind, "read", "s3://raw/a", "because")
}

fn source(kind: Kind) -> Error {
    let read = etl_engine::Error::Read(ReadError::new(store(kind)));
    Error::engine("s3://raw/a".into(), true, read)
}

#[test]
fn a_store_failure_under_the_engine_keeps_its_category() {
    for (kind, category) in [
        (Kind::PreconditionFailed, Category::SourceChanged),
        (Kind::NotFound, Category::SourceChanged),
        (Kind::AccessDenied, Category::AccessDenied),
        (Kind::Throttled, Category::Throttled),
        (Kind::Unavailable, Category::Unavailable),
        (Kind::Stopped(Stop::Signal), Category::Disrupted),
        (Kind::Stopped(Stop::Deadline), Category::DeadlineExceeded),
    ] {
        assert_eq!(source(kind).failure().category, category, "{kind:?}");
    }
    assert!(source(Kind::Stopped(Stop::Failure)).is_echo());
    assert!(!source(Kind::Stopped(Stop::Signal)).is_echo());
}

#[test]
fn categories_of_the_stages() {
    let uri = || "s3://out/a.json".to_owned();
    let engine = |error| Error::engine("s3://raw/a".into(), true, error);
    let bad = etl_engine::Error::BadInput {
        place: Place::default(),
        problem: "torn".into(),
    };
    for (error, category) in [
        (engine(bad), Category::BadInput),
        (
            Error::Write(WriteError::Taken {
                uri: uri(),
                who: "x".into(),
            }),
            Category::OutputConflict,
        ),
        (
            Error::Write(WriteError::Superseded { uri: uri() }),
            Category::Superseded,
        ),
        (
            Error::Commit(CommitError::Superseded { uri: uri() }),
            Category::Superseded,
        ),
        (
            Error::Commit(CommitError::Removed { uri: uri() }),
            Category::OutputConflict,
        ),
        (
            Error::Plan(PlanError::NoObject { uri: uri() }),
            Category::SourceNotFound,
        ),
        (
            Error::Plan(PlanError::Changed { uri: uri() }),
            Category::SourceChanged,
        ),
        (
            Error::Plan(PlanError::TooMany { uri: uri() }),
            Category::UnsupportedInput,
        ),
        (
            Error::Plan(PlanError::Store(store(Kind::NoBucket))),
            Category::SourceNotFound,
        ),
        (Error::Stopped(Stop::Deadline), Category::DeadlineExceeded),
        (Error::Internal("x".into()), Category::Internal),
    ] {
        assert_eq!(error.failure().category, category, "{error}");
    }
}

#[test]
fn categories_of_a_store_that_refuses() {
    for (kind, category) in [
        (Kind::NoBucket, Category::InvalidSpec),
        (Kind::WrongRegion, Category::InvalidSpec),
        (Kind::BadAttribute, Category::InvalidSpec),
        (Kind::Archived, Category::UnsupportedInput),
        (Kind::Unknown, Category::Unavailable),
    ] {
        let failure = Error::Store(store(kind)).failure();
        assert_eq!(failure.category, category, "{kind:?}");
    }
}

#[test]
fn two_inputs_on_one_key_are_named_with_the_way_out() {
    let error = Error::Plan(PlanError::SameOutput {
        first: "s3://raw/a/x.parquet".into(),
        second: "s3://raw/b/x.parquet".into(),
        output: "s3://out/x.json".into(),
        dir_helps: true,
    });
    let failure = error.failure();
    assert_eq!(failure.category, Category::InvalidSpec);
    assert!(
        failure
            .message
            .contains("s3://raw/a/x.parquet and s3://raw/b/x.parquet")
    );
    assert!(failure.hint.unwrap().contains("{dir}"));
}

/// What the engine refuses, of an object that can be left out or cannot.
fn refused(below_prefix: bool) -> [Error; 2] {
    let unsupported = etl_engine::Error::Unsupported {
        place: Place::default(),
        what: "x".into(),
    };
    let bad = etl_engine::Error::BadInput {
        place: Place::default(),
        problem: "x".into(),
    };
    [unsupported, bad].map(|error| Error::engine("s3://raw/a".into(), below_prefix, error))
}

/// Every failure that ends a run, and every one that the user can mend.
fn told() -> Vec<Failure> {
    let uri = || "s3://raw/a".to_owned();
    let same_output = |dir_helps| PlanError::SameOutput {
        first: uri(),
        second: uri(),
        output: uri(),
        dir_helps,
    };
    let nothing = PlanError::NothingSelected {
        uri: uri(),
        seen: 1,
        criteria: "x".into(),
    };
    let replaced = CommitError::Output {
        uri: uri(),
        problem: "x".into(),
    };
    let foreign = Error::ForeignPlan {
        planned: "x".into(),
        own: "y".into(),
    };
    let own = [
        foreign,
        Error::Plan(PlanError::NoObject { uri: uri() }),
        Error::Plan(nothing),
        Error::Plan(PlanError::Changed { uri: uri() }),
        Error::Plan(PlanError::TooMany { uri: uri() }),
        Error::Plan(same_output(true)),
        Error::Plan(same_output(false)),
        Error::Plan(PlanError::Store(store(Kind::NoBucket))),
        Error::Store(store(Kind::NoBucket)),
        Error::Store(store(Kind::WrongRegion)),
        Error::Store(store(Kind::BadAttribute)),
        source(Kind::Archived),
        Error::Store(store(Kind::AccessDenied)),
        Error::Store(store(Kind::Throttled)),
        Error::Store(store(Kind::Unavailable)),
        Error::Write(WriteError::Taken {
            uri: uri(),
            who: "x".into(),
        }),
        Error::Write(WriteError::TooLarge {
            uri: uri(),
            part_mib: 24,
        }),
        Error::Commit(replaced),
        Error::Commit(CommitError::Removed { uri: uri() }),
        Error::Stopped(Stop::Deadline),
    ];
    let engine = [true, false].into_iter().flat_map(refused);
    own.into_iter()
        .chain(engine)
        .map(|error| error.failure())
        .collect()
}

#[test]
fn a_hint_changes_source_and_output_only_by_another_job() {
    for failure in told() {
        let hint = failure
            .hint
            .unwrap_or_else(|| panic!("{}", failure.message));
        let immutable = ["source.", "output."]
            .iter()
            .any(|word| hint.contains(word));
        if immutable || failure.category.action() == Action::Fail {
            assert!(
                ["an EtlJob", "the EtlJob again", "several EtlJobs"]
                    .iter()
                    .any(|phrase| hint.contains(phrase)),
                "{}: {hint}",
                failure.category
            );
        }
        // Frozen when the run starts.
        assert!(!hint.contains("parallelism"), "{hint}");
    }
}

#[test]
fn only_an_object_below_a_prefix_can_be_left_out() {
    for below_prefix in [true, false] {
        for error in refused(below_prefix) {
            let hint = error.failure().hint.unwrap();
            assert_eq!(hint.contains("exclude"), below_prefix, "{hint}");
        }
    }
}
