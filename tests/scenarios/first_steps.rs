//! What the README tells a newcomer to do. Its lines for kubectl are run word by
//! word; those that need AWS are rendered and shown to the API server.

use std::fs;

use anyhow::{Context, Result, ensure};
use etl_tests::{CHART_NAMESPACE, Lab, Tenant, repository};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use serde_json::Value;

use crate::readme;

const SAMPLE: &str = "yellow_tripdata_2021-01.first-22k";

/// The README's commands for the lab, then `kubectl describe`. What `cargo xtask
/// lab up` brings is there already: the operator and the example's objects.
pub(crate) async fn the_first_example_completes(tenant: &Tenant<'_>) -> Result<()> {
    let lab = tenant.lab();
    let site = lab.site();
    let file = repository().join(format!("tests/data/{SAMPLE}.parquet"));
    site.put_object("raw-data", &format!("2021/01/15/{SAMPLE}.parquet"), &file)?;
    site.create_bucket("processed-data")?;
    site.apply(&site.store_secret("default"))?;
    let mut answers = Vec::new();
    for words in readme::commands("cargo xtask lab up")? {
        if let [program, arguments @ ..] = &words[..]
            && program == "kubectl"
        {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            answers.push(kubectl(lab, &arguments)?);
        }
    }
    let [_applied, waited, listed] = &answers[..] else {
        anyhow::bail!("the README applies, waits and gets: {answers:?}")
    };
    ensure!(waited.contains("condition met"), "kubectl wait: {waited}");
    ensure!(
        listed.contains("hello") && listed.contains("Complete") && listed.contains("22791"),
        "kubectl get ej: {listed}"
    );
    let described = kubectl(lab, &["describe", "ej", "hello"])?;
    for part in [
        "22791 rows in 1 object",
        "s3://processed-data/_etl/",
        "Rows Written",
    ] {
        ensure!(described.contains(part), "{part:?} is not in: {described}");
    }
    Events::of(&described)?.tell("Completed")?;
    the_log_names_it(lab)?;
    kubectl(lab, &["delete", "ej", "hello"]).map(drop)
}

/// The README's `helm install` with its own values, which name images and a
/// region that the lab does not have: all of them are rendered, and the API
/// server would take every object.
pub(crate) async fn the_installation_on_eks_is_accepted(tenant: &Tenant<'_>) -> Result<()> {
    let lab = tenant.lab();
    let commands = readme::commands("helm install")?;
    let [words] = &commands[..] else {
        anyhow::bail!("the README installs by one command: {commands:?}")
    };
    let [program, install, flags @ ..] = &words[..] else {
        anyhow::bail!("{words:?} is no command of Helm")
    };
    ensure!(
        program == "helm" && install == "install",
        "{words:?} does not install"
    );
    // It takes the same flags and keeps its hands off the cluster.
    let mut arguments = vec!["template"];
    arguments.extend(flags.iter().map(String::as_str));
    let output = lab.helm(&arguments)?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "helm {arguments:?}: {problem}");
    let rendered = String::from_utf8(output.stdout)?;
    let after = |flag: &'static str| {
        let values = flags.iter().zip(flags.iter().skip(1));
        values.filter_map(move |(name, value)| (name == flag).then_some(value.as_str()))
    };
    let mut settings = 0;
    for setting in after("--set") {
        let (_, value) = setting.split_once('=').context("a setting has a value")?;
        let value = value.trim_matches(['{', '}']);
        ensure!(
            rendered.contains(value),
            "{setting} has no effect: {rendered}"
        );
        settings += 1;
    }
    ensure!(settings >= 4, "{words:?} sets {settings} values");
    let namespace = after("--namespace").next().context("no namespace")?;
    let file = lab.site().layout().root().join("readme-install.yaml");
    fs::write(&file, rendered)?;
    kubectl(lab, &["create", "namespace", namespace])?;
    let file = file.display().to_string();
    kubectl(
        lab,
        &[
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "-f",
            &file,
        ],
    )?;
    kubectl(lab, &["delete", "namespace", namespace, "--wait=false"]).map(drop)
}

/// The operator's log says of each pass whose it was.
fn the_log_names_it(lab: &Lab) -> Result<()> {
    let log = lab.operator_log()?;
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let named = |line: &Value| {
        line["span"]["etljob"] == "hello"
            && line["span"]["namespace"] == "default"
            && line["span"]["name"] == "reconcile"
    };
    ensure!(lines.iter().any(named), "no line is about hello: {log}");
    Ok(())
}

/// The events at the end of a description.
struct Events<'a>(&'a str);

impl<'a> Events<'a> {
    fn of(described: &'a str) -> Result<Self> {
        let (_, events) = described.split_once("\nEvents:").context("no events")?;
        Ok(Self(events))
    }

    fn tell(&self, reason: &str) -> Result<()> {
        ensure!(self.0.contains(reason), "no event {reason}: {}", self.0);
        Ok(())
    }
}

/// The chart makes the workers' account, without a token, and gives the operator
/// no access to secrets, finalizers and webhooks: neither in what is rendered,
/// nor in what the API server allows, nor in what was ever asked for.
pub(crate) async fn the_chart_gives_least_power(tenant: &Tenant<'_>) -> Result<()> {
    let lab = tenant.lab();
    let accounts: Api<ServiceAccount> = Api::namespaced(lab.client(), "default");
    let account = accounts.get("etl-worker").await?;
    ensure!(
        account.automount_service_account_token == Some(false),
        "the workers' account gives its token away"
    );
    let output = lab.helm(&["get", "manifest", CHART_NAMESPACE, "-n", CHART_NAMESPACE])?;
    let rendered = String::from_utf8(output.stdout)?;
    let roles: Vec<&str> = rendered
        .split("\n---")
        .filter(|object| {
            object.contains("\nkind: ClusterRole\n") || object.contains("\nkind: Role\n")
        })
        .collect();
    ensure!(!roles.is_empty(), "no role is rendered: {rendered}");
    for word in ["finalizers", "secrets", "webhook", "\"*\"", "- '*'"] {
        ensure!(
            roles.iter().all(|role| !role.contains(word)),
            "{word:?} is in the operator's roles: {roles:?}"
        );
    }
    ensure!(
        !rendered.contains("WebhookConfiguration"),
        "the chart has a webhook"
    );
    the_api_server_allows_no_more(lab)?;
    let operator = format!("system:serviceaccount:{CHART_NAMESPACE}:{CHART_NAMESPACE}");
    let asked = |event: &&Value| {
        event["user"]["username"] == operator.as_str()
            && event["objectRef"]["resource"] == "secrets"
    };
    let events = lab.audit_events()?;
    let asked: Vec<&Value> = events.iter().filter(asked).collect();
    ensure!(
        asked.is_empty(),
        "the operator asked for secrets: {asked:?}"
    );
    Ok(())
}

fn the_api_server_allows_no_more(lab: &Lab) -> Result<()> {
    let operator = format!("--as=system:serviceaccount:{CHART_NAMESPACE}:{CHART_NAMESPACE}");
    let worker = "--as=system:serviceaccount:default:etl-worker".to_owned();
    let ask = |who: &str, verb: &str, what: &str| -> Result<String> {
        let output = lab.kubectl(&["auth", "can-i", verb, what, who, "-n", "default"])?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    // Otherwise the refusals below would say nothing.
    for (verb, what) in [
        ("watch", "etljobs.etl-operator.io"),
        ("create", "jobs.batch"),
    ] {
        let answer = ask(&operator, verb, what)?;
        ensure!(
            answer == "yes",
            "the operator may not {verb} {what}: {answer}"
        );
    }
    let nobody = [
        ("get", "secrets"),
        ("update", "etljobs.etl-operator.io/finalizers"),
        ("patch", "etljobs.etl-operator.io"),
        ("update", "etljobs.etl-operator.io"),
        ("create", "pods"),
        ("create", "pods/exec"),
        (
            "create",
            "validatingwebhookconfigurations.admissionregistration.k8s.io",
        ),
        ("create", "serviceaccounts/token"),
        ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ];
    for (verb, what) in nobody {
        for who in [&operator, &worker] {
            let answer = ask(who, verb, what)?;
            ensure!(answer == "no", "{who} may {verb} {what}: {answer}");
        }
    }
    Ok(())
}

fn kubectl(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let output = lab.kubectl(arguments)?;
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "kubectl {}: {problem}",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}
