//! Pods that cannot start.

use std::time::Duration;

use anyhow::{Result, ensure};
use etl_tests::{Tenant, Timeline};
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::faults::spec;
use crate::invariants;

/// How soon it must be said what stands in the way.
const TOLD: Duration = Duration::from_secs(30);

/// The shortest deadline, with the end of the attempt and its look-ups.
const GIVEN_UP: Duration = Duration::from_secs(180);

/// What keeps a pod from starting stands in the conditions before half a minute
/// is over, and in the failure after the deadline.
pub(crate) async fn what_keeps_a_pod_from_starting_is_told(tenant: &Tenant<'_>) -> Result<()> {
    let obstacles = [
        (
            "account",
            json!({"serviceAccountName": "nobody"}),
            "serviceaccount \"nobody\" not found",
        ),
        (
            "secret",
            json!({"credentialsSecretName": "nothing"}),
            "secret \"nothing\" not found",
        ),
        (
            "node",
            json!({"nodeSelector": {"planet": "mars"}}),
            "Unschedulable",
        ),
    ];
    let timeline = tenant.timeline().await?;
    for (name, worker, _) in &obstacles {
        create(tenant, &format!("slow-{name}"), worker, 45).await?;
        create(tenant, &format!("quick-{name}"), worker, 10).await?;
    }
    let told = obstacles
        .iter()
        .map(|(name, _, why)| is_told(tenant, format!("slow-{name}"), why));
    try_join_all(told).await?;
    for (name, _, why) in &obstacles {
        is_given_up(tenant, &timeline, &format!("quick-{name}"), why).await?;
    }
    Ok(())
}

/// An image that does not exist: the whole installation is concerned.
pub(crate) async fn an_image_that_cannot_be_pulled_is_told(tenant: &Tenant<'_>) -> Result<()> {
    let timeline = tenant.timeline().await?;
    let lab = tenant.lab();
    let image = json!({"tag": "never-built", "pullPolicy": "IfNotPresent"});
    lab.install(&json!({"worker": {"image": image}}))?;
    let told = async {
        create(tenant, "slow-image", &json!({}), 45).await?;
        create(tenant, "quick-image", &json!({}), 10).await?;
        is_told(tenant, "slow-image".to_owned(), "never-built").await?;
        is_given_up(tenant, &timeline, "quick-image", "never-built").await
    };
    let told = told.await;
    lab.install(&json!({}))?;
    told
}

async fn create(tenant: &Tenant<'_>, name: &str, worker: &Value, seconds: u32) -> Result<()> {
    let spec = spec(
        tenant,
        name,
        json!({
            "worker": worker,
            "execution": {"startDeadlineSeconds": seconds},
            "retryPolicy": {"maxAttempts": 1},
        }),
    );
    tenant.create_etljob(name, &spec).await.map(drop)
}

async fn is_told(tenant: &Tenant<'_>, name: String, why: &str) -> Result<()> {
    let told = |job: &Value| {
        let conditions = job["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|condition| {
            condition["type"] == "Reconciling"
                && condition["reason"] == "PodNotStarted"
                && condition["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(why))
        })
    };
    let what = format!("the conditions say {why:?}");
    tenant.wait_for(&name, &what, TOLD, told).await.map(drop)
}

async fn is_given_up(
    tenant: &Tenant<'_>,
    timeline: &Timeline,
    name: &str,
    why: &str,
) -> Result<()> {
    tenant.wait_failed(name, GIVEN_UP).await?;
    let failed = invariants::hold(tenant, timeline, name).await?;
    let failure = &failed["status"]["lastFailure"];
    let message = failure["message"].as_str().unwrap_or_default();
    ensure!(
        failure["category"] == "StartTimeout" && message.contains(why),
        "the failure is {failure}"
    );
    let first = &invariants::attempts(&failed)[0];
    ensure!(
        first["result"] == "StartTimeout" && first["charged"] == true,
        "the first attempt is {first}"
    );
    Ok(())
}
