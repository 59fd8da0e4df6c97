//! Several claims to one output.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etl_tests::{Tenant, has_condition};
use futures::future::try_join;
use serde_json::{Value, json};

use crate::invariants::{self, text};
use crate::reader::{same_rows, write_parquet};

const LIMIT: Duration = Duration::from_secs(120);

/// Rounds of two EtlJobs that are started together.
const ROUNDS: usize = 5;

/// Tables of different lengths and contents.
const TABLES: &str = r#"
import pyarrow as pa
def build(n):
    return pa.table({"id": pa.array(range(10 + n), pa.int64()), "of": [f"table {n}"] * (10 + n)})
"#;

/// Two inputs that would land on one key: nothing is written, both are named,
/// and so is the way out.
pub(crate) async fn two_inputs_on_one_key_are_refused(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    let keys = [
        "in/a/trips.parquet",
        "in/b/trips.parquet",
        "in/c/other.parquet",
    ];
    write_parquet(tenant, TABLES, &keys)?;
    let spec = json!({
        "source": {"uri": tenant.uri("in/")},
        "output": {"uri": tenant.uri("out/")},
    });
    tenant.create_etljob("colliding", &spec).await?;
    tenant.wait_failed("colliding", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "colliding").await?;
    let failure = &job["status"]["lastFailure"];
    ensure!(failure["category"] == "InvalidSpec", "{failure}");
    let message = text(failure, "/message")?;
    ensure!(
        message.contains(&tenant.uri(keys[0])) && message.contains(&tenant.uri(keys[1])),
        "both inputs must be named: {message}"
    );
    ensure!(
        text(failure, "/hint")?.contains("{dir}"),
        "no way out: {failure}"
    );
    ensure!(invariants::attempts(&job).len() == 1, "it was tried again");
    ensure!(
        tenant.outputs("out/").await?.is_empty(),
        "something was written"
    );
    // The way out is one.
    let mut spec = spec;
    spec["output"]["keyTemplate"] = json!("{dir}/{stem}.json");
    tenant.create_etljob("apart", &spec).await?;
    tenant.wait_complete("apart", LIMIT).await?;
    invariants::hold(tenant, &timeline, "apart").await?;
    let pairs = keys.map(|key| (key, key.replace("in/", "out/").replace("parquet", "json")));
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (*a, b.as_str())).collect();
    same_rows(tenant, &pairs, &json!({})).map(drop)
}

/// Two EtlJobs that write to one key, started together: one of them completes,
/// and the object is that one's.
pub(crate) async fn one_output_is_never_complete_for_two(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    write_parquet(tenant, TABLES, &["in/0/x.parquet", "in/1/x.parquet"])?;
    for round in 0..ROUNDS {
        let prefix = format!("out/{round}/");
        let output = json!({"uri": tenant.uri(&prefix), "keyTemplate": "{stem}.json"});
        let [one, two] = [0, 1].map(|number| format!("round-{round}-{number}"));
        let spec = |number: usize| {
            json!({
                "source": {"uri": tenant.uri(&format!("in/{number}/x.parquet"))},
                "output": output,
            })
        };
        let (first, second) = (spec(0), spec(1));
        try_join(
            tenant.create_etljob(&one, &first),
            tenant.create_etljob(&two, &second),
        )
        .await?;
        let mut complete = Vec::new();
        for (number, name) in [one, two].iter().enumerate() {
            let ended =
                |job: &Value| has_condition(job, "Complete") || has_condition(job, "Failed");
            let job = tenant.wait_for(name, "an end", LIMIT, ended).await?;
            if has_condition(&job, "Complete") {
                invariants::hold(tenant, &timeline, name).await?;
                complete.push(number);
            } else {
                let failure = &job["status"]["lastFailure"];
                ensure!(failure["category"] == "OutputConflict", "{name}: {failure}");
            }
        }
        ensure!(
            complete.len() == 1,
            "round {round}: {complete:?} are complete"
        );
        ensure!(
            tenant.manifests(&prefix).await?.len() == 1,
            "round {round}: manifests"
        );
        let source = format!("in/{}/x.parquet", complete[0]);
        same_rows(tenant, &[(source, format!("{prefix}x.json"))], &output)?;
    }
    Ok(())
}

/// An EtlJob that is deleted and made again under its name converts what it is
/// given now: the same key with new content, then another source.
pub(crate) async fn a_recreated_job_has_the_new_rows(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    let output = json!({"uri": tenant.uri("out/"), "keyTemplate": "{stem}.json"});
    let rounds = [
        ("in/x.parquet", TABLES.replace("10 + n", "10"), 10),
        ("in/x.parquet", TABLES.replace("10 + n", "2500"), 2500),
        ("in/y.parquet", TABLES.replace("10 + n", "7"), 7),
    ];
    let mut uids = Vec::new();
    for (key, script, rows) in &rounds {
        write_parquet(tenant, script, &[key])?;
        let spec = json!({"source": {"uri": tenant.uri(key)}, "output": output});
        tenant.create_etljob("again", &spec).await?;
        tenant.wait_complete("again", LIMIT).await?;
        let job = invariants::hold(tenant, &timeline, "again").await?;
        let written = key.replace("in/", "out/").replace("parquet", "json");
        let compared = same_rows(tenant, &[(*key, written.as_str())], &output)?;
        ensure!(compared == [*rows], "{key}: {compared:?} rows, not {rows}");
        uids.push(text(&job, "/metadata/uid")?.to_owned());
        tenant.delete_etljob("again").await?;
    }
    let manifests = tenant.manifests("out/").await?;
    for uid in &uids {
        let of_uid = manifests
            .iter()
            .filter(|object| object.key.contains(uid.as_str()));
        ensure!(
            of_uid.count() == 1,
            "not one manifest of {uid}: {manifests:?}"
        );
    }
    Ok(())
}

/// An EtlJob that is deleted in the middle of its work and made again at once:
/// the worker of the old one, which Kubernetes ends in its own time, cannot get
/// in the way.
pub(crate) async fn a_job_recreated_in_the_middle_has_the_new_rows(
    tenant: &Tenant<'_>,
) -> Result<()> {
    let timeline = tenant.timeline().await?;
    write_parquet(tenant, TABLES, &["in/old.parquet", "in/new.parquet"])?;
    let output = json!({"uri": tenant.uri("out/"), "keyTemplate": "{stem}.json"});
    let spec = |key: &str| json!({"source": {"uri": tenant.uri(key)}, "output": output});
    tenant
        .create_etljob("again", &spec("in/old.parquet"))
        .await?;
    let old = tenant.freeze_worker("again", 1, LIMIT).await?;
    let deleted = tenant.etljob("again").await?.context("it is there")?;
    for name in timeline.jobs_of(text(&deleted, "/metadata/uid")?) {
        timeline.except(&name);
    }
    tenant.delete_etljob("again").await?;
    tenant
        .create_etljob("again", &spec("in/new.parquet"))
        .await?;
    // It goes on, and hears only now that it was told to stop.
    old.thaw()
        .context("the old worker is gone before its time")?;
    tenant.wait_complete("again", LIMIT).await?;
    let job = invariants::hold(tenant, &timeline, "again").await?;
    old.wait_end(Duration::from_secs(30)).await?;
    ensure!(
        invariants::attempts(&job).len() == 1,
        "the first attempt was enough"
    );
    same_rows(tenant, &[("in/new.parquet", "out/new.json")], &output).map(drop)
}
