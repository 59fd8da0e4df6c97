//! Files as the world makes them, from S3 to S3.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::types::AttributeValue;
use etl_tests::{CHART_NAMESPACE, CLUSTER_ID, LEDGER_TABLE, Lab, Tenant, repository};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::invariants::{self, Row, attribute, number, text};
use crate::reader::same_rows;

const LIMIT: Duration = Duration::from_secs(120);

const YELLOW: (&str, u64) = ("yellow_tripdata_2021-01.first-22k", 22_791);
const GREEN: (&str, u64) = ("green_tripdata_2022-01", 62_495);

/// Every row of a parquet file against every row of a JSON file, as sets.
const DIFFERENCE: &str = r#"
import duckdb, sys
parquet, lines = sys.argv[1:]
db = duckdb.connect()
columns = db.execute(f"DESCRIBE SELECT * FROM '{parquet}'").fetchall()
types = ", ".join(f"'{name}': '{kind}'" for name, kind, *_ in columns)
left = f"SELECT * FROM '{parquet}'"
right = f"SELECT * FROM read_json('{lines}', format='newline_delimited', columns={{{types}}})"
for a, b in [(left, right), (right, left)]:
    print(db.execute(f"SELECT count(*) FROM ({a} EXCEPT ALL {b})").fetchone()[0])
"#;

/// Both sample files become JSON that pyarrow and DuckDB find equal, at the key
/// that the template says, with the right totals in status, columns and ledger.
pub(crate) async fn samples_become_equal_json(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    for (stem, rows) in [YELLOW, GREEN] {
        let name = stem.split('_').next().unwrap_or(stem);
        let source = format!("in/{stem}.parquet");
        tenant
            .put_sample(&source, &format!("{stem}.parquet"))
            .await?;
        let spec = json!({
            "source": {"uri": tenant.uri(&source)},
            "output": {"uri": tenant.uri(&format!("out/{name}/"))},
        });
        tenant.create_etljob(name, &spec).await?;
        tenant.wait_complete(name, LIMIT).await?;
        let job = invariants::hold(tenant, &timeline, name).await?;
        let output = the_key_follows_the_template(tenant, &job, stem).await?;
        let compared = same_rows(tenant, &[(&source, &output)], &spec["output"])?;
        ensure!(compared == [rows], "{stem}: {compared:?} rows");
        duckdb_finds_no_difference(tenant, stem, &output).await?;
        the_statistics_are_right(tenant, &job, stem, rows).await?;
        the_columns_tell_the_result(tenant, &job, rows)?;
        the_row_can_be_found(tenant, &job).await?;
    }
    Ok(())
}

/// `{yyyy}/{mm}/{dd}/{stem}.json` by the UTC date on which the run started.
async fn the_key_follows_the_template(
    tenant: &Tenant<'_>,
    job: &Value,
    stem: &str,
) -> Result<String> {
    let prefix = invariants::output_prefix(tenant, job)?;
    let start = text(job, "/status/run/startTime")?;
    let date = start.get(..10).context("a time starts with its date")?;
    let wanted = format!("{prefix}{}/{stem}.json", date.replace('-', "/"));
    let outputs = tenant.outputs(&prefix).await?;
    let keys: Vec<&str> = outputs.iter().map(|object| object.key.as_str()).collect();
    ensure!(keys == [&wanted], "the outputs are {keys:?}, not {wanted}");
    ensure!(
        job["status"]["output"]["firstObjectUri"] == tenant.uri(&wanted).as_str(),
        "the status names another output"
    );
    Ok(wanted)
}

async fn duckdb_finds_no_difference(tenant: &Tenant<'_>, stem: &str, output: &str) -> Result<()> {
    let parquet = repository().join(format!("tests/data/{stem}.parquet"));
    let folder = tenant.lab().site().layout().root().to_owned();
    let lines = folder.join(format!("{}-{stem}.json", tenant.namespace()));
    std::fs::write(&lines, tenant.get(output).await?)?;
    let arguments = [parquet.display().to_string(), lines.display().to_string()];
    let printed = tenant
        .lab()
        .python(DIFFERENCE, &arguments.each_ref().map(String::as_str));
    std::fs::remove_file(&lines)?;
    let printed = printed?;
    ensure!(
        printed == "0\n0\n",
        "{stem}: rows only in the one or the other: {printed}"
    );
    Ok(())
}

async fn the_statistics_are_right(
    tenant: &Tenant<'_>,
    job: &Value,
    stem: &str,
    rows: u64,
) -> Result<()> {
    let source = std::fs::metadata(repository().join(format!("tests/data/{stem}.parquet")))?;
    let prefix = invariants::output_prefix(tenant, job)?;
    let written: u64 = tenant
        .outputs(&prefix)
        .await?
        .iter()
        .map(|object| object.bytes)
        .sum();
    let wanted = json!({
        "sourceObjects": 1, "sourceBytes": source.len(),
        "rowsRead": rows, "rowsWritten": rows, "rowsRejected": 0, "objectsSkipped": 0,
        "outputObjects": 1, "outputBytes": written,
    });
    let found = &job["status"]["statistics"];
    ensure!(*found == wanted, "the statistics are {found}, not {wanted}");
    Ok(())
}

/// What `kubectl get ej` prints: PHASE, ATTEMPT, ROWS, FAILURE, NEXT, DURATION,
/// AGE.
fn the_columns_tell_the_result(tenant: &Tenant<'_>, job: &Value, rows: u64) -> Result<()> {
    let name = text(job, "/metadata/name")?;
    let arguments = ["get", "ej", name, "--namespace", tenant.namespace()];
    let output = tenant.lab().kubectl(&arguments)?;
    let printed = String::from_utf8(output.stdout)?;
    let lines: Vec<Vec<&str>> = printed
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    let [head, line] = lines.as_slice() else {
        anyhow::bail!("kubectl get ej prints {printed:?}");
    };
    ensure!(
        *head
            == [
                "NAME", "PHASE", "ATTEMPT", "ROWS", "FAILURE", "NEXT", "DURATION", "AGE"
            ],
        "the columns are {head:?}"
    );
    // FAILURE and NEXT are empty.
    let [first, phase, attempt, shown, duration, _age] = line.as_slice() else {
        anyhow::bail!("kubectl get ej prints {line:?}");
    };
    let start = time(job, "/status/run/startTime")?;
    let took = time(job, "/status/run/completionTime")?.duration_since(start);
    let seconds: f64 = duration
        .trim_end_matches(|c: char| c.is_ascii_alphabetic())
        .parse()
        .with_context(|| format!("DURATION is {duration:?}"))?;
    ensure!(
        (*first, *phase, *attempt) == (name, "Complete", "1/3") && *shown == rows.to_string(),
        "kubectl get ej prints {line:?}"
    );
    ensure!(
        duration.ends_with('s') && (seconds - took.as_secs_f64()).abs() < 1.0,
        "DURATION is {duration}, the run took {took:?}"
    );
    Ok(())
}

fn time(job: &Value, pointer: &str) -> Result<jiff::Timestamp> {
    Ok(text(job, pointer)?.parse()?)
}

/// The row has the attributes of old, and each index leads to it.
async fn the_row_can_be_found(tenant: &Tenant<'_>, job: &Value) -> Result<()> {
    let row = invariants::the_ledger_agrees(tenant, job).await?;
    let name = text(job, "/metadata/name")?;
    let path = format!("{CLUSTER_ID}/{}/{name}", tenant.namespace());
    let wanted = [
        ("source_file_path", text(job, "/spec/source/uri")?),
        (
            "output_file_path",
            text(job, "/status/output/firstObjectUri")?,
        ),
        ("processing_status", "COMPLETED"),
        ("job", &path),
        ("namespace", tenant.namespace()),
        ("uid", text(job, "/metadata/uid")?),
        ("run", "1"),
        ("attempt", "1"),
    ];
    for (attribute_name, wanted) in wanted {
        let found = attribute(&row, attribute_name);
        ensure!(
            found == Some(wanted),
            "{attribute_name} is {found:?}, not {wanted}"
        );
    }
    for (attribute_name, pointer) in [
        ("start_time", "/status/run/startTime"),
        ("created_at", "/status/run/startTime"),
        ("end_time", "/status/run/completionTime"),
    ] {
        let found = attribute(&row, attribute_name).context(attribute_name)?;
        ensure!(
            found.parse::<jiff::Timestamp>()? == time(job, pointer)?,
            "{attribute_name} is {found}, not that of {pointer}"
        );
    }
    the_totals_are_a_map(&row, &job["status"]["statistics"])?;
    for (index, key, sort) in [
        ("status-index", "processing_status", "updated_at"),
        ("source-index", "source_file_path", "start_time"),
        ("job-index", "job", "start_time"),
    ] {
        ensure!(
            query(tenant.lab(), index, key, sort, &row)
                .await?
                .contains(&row),
            "{index} does not lead to the row"
        );
    }
    Ok(())
}

fn the_totals_are_a_map(row: &Row, statistics: &Value) -> Result<()> {
    let Some(AttributeValue::M(found)) = row.get("statistics") else {
        anyhow::bail!("the row has no totals");
    };
    for name in [
        "sourceObjects",
        "sourceBytes",
        "rowsRead",
        "rowsWritten",
        "outputBytes",
    ] {
        let wanted = statistics[name].to_string();
        ensure!(
            attribute(found, name) == Some(&wanted),
            "{name} is {:?} in the ledger, not {wanted}",
            found.get(name)
        );
    }
    Ok(())
}

async fn query(lab: &Lab, index: &str, key: &str, sort: &str, row: &Row) -> Result<Vec<Row>> {
    let value = |name: &str| row.get(name).cloned().with_context(|| format!("no {name}"));
    let answer = lab
        .dynamodb()
        .query()
        .table_name(LEDGER_TABLE)
        .index_name(index)
        .key_condition_expression("#key = :key AND #sort >= :sort")
        .expression_attribute_names("#key", key)
        .expression_attribute_names("#sort", sort)
        .expression_attribute_values(":key", value(key)?)
        .expression_attribute_values(":sort", value(sort)?)
        .send()
        .await?;
    Ok(answer.items.unwrap_or_default())
}

/// A job that goes well costs the API server four writes of objects and two of
/// events.
pub(crate) async fn a_success_costs_four_writes_and_two_events(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    small(tenant, "cheap").await?;
    invariants::hold(tenant, &timeline, "cheap").await?;
    let writes = writes_until_told(tenant).await?;
    let (events, objects): (Vec<_>, Vec<_>) = writes.iter().partition(|write| is_event(write));
    ensure!(
        (3..=4).contains(&objects.len()) && events.len() == 2,
        "the operator wrote {writes:?}"
    );
    Ok(())
}

/// A restart of the operator finds finished EtlJobs as they are and writes
/// nothing about them.
pub(crate) async fn a_restart_writes_nothing_about_what_is_idle(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    small(tenant, "idle").await?;
    let before = invariants::hold(tenant, &timeline, "idle").await?;
    let writes_before = writes_until_told(tenant).await?;
    let lab = tenant.lab();
    lab.kill_operator().await?;
    lab.wait_operator_ready().await?;
    // The first list of the new process had the idle one before this one.
    let marker = lab.tenant("after-the-restart").await?;
    small(&marker, "later").await?;
    marker.delete().await?;
    let after = tenant.etljob("idle").await?.context("it is still there")?;
    ensure!(
        before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"],
        "the restart changed the EtlJob: {after}"
    );
    let writes_after = writes(tenant)?;
    ensure!(
        writes_before == writes_after,
        "the restart wrote: {writes_after:?}"
    );
    Ok(())
}

async fn small(tenant: &Tenant<'_>, name: &str) -> Result<()> {
    tenant
        .put_sample("in/a.parquet", &format!("{}.parquet", GREEN.0))
        .await?;
    let spec = json!({
        "source": {"uri": tenant.uri("in/a.parquet")},
        "output": {"uri": tenant.uri("out/")},
    });
    tenant.create_etljob(name, &spec).await?;
    tenant.wait_complete(name, LIMIT).await.map(drop)
}

fn is_event(write: &str) -> bool {
    write.contains("/events")
}

/// The writes once both events of a success are out, which come last.
async fn writes_until_told(tenant: &Tenant<'_>) -> Result<Vec<String>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let writes = writes(tenant)?;
        if writes.iter().filter(|write| is_event(write)).count() >= 2 {
            return Ok(writes);
        }
        ensure!(
            Instant::now() < deadline,
            "two events are not out: {writes:?}"
        );
        sleep(Duration::from_millis(100)).await;
    }
}

/// What the operator wrote in the tenant's namespace so far, refused requests
/// left out, as `verb /path`.
fn writes(tenant: &Tenant<'_>) -> Result<Vec<String>> {
    let operator = format!("system:serviceaccount:{CHART_NAMESPACE}:");
    let of_operator = |event: &Value| {
        let user = event["user"]["username"].as_str();
        user.is_some_and(|user| user.starts_with(&operator))
            && event["stage"] == "ResponseComplete"
            && event["objectRef"]["namespace"] == tenant.namespace()
            && number(event, "/responseStatus/code") < 300
    };
    let events = tenant.lab().audit_events()?;
    let writes = events
        .iter()
        .filter(|event| of_operator(event))
        .filter_map(|event| {
            let verb = event["verb"].as_str()?;
            let reads = matches!(verb, "get" | "list" | "watch");
            (!reads).then(|| {
                format!(
                    "{verb} {}",
                    event["requestURI"].as_str().unwrap_or_default()
                )
            })
        });
    Ok(writes.collect())
}
