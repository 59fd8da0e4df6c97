//! EtlJobs in numbers that nobody wants to wait for: copies of one that has ended,
//! put where the API server keeps them.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use etl_api::EtlJob;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::bed::Bed;

/// Copies in one transaction. etcd takes 128 operations, and 1.5 MiB.
const BATCH: usize = 64;

/// How many EtlJobs there are.
pub(crate) async fn present(client: &Client) -> Result<usize> {
    let jobs: Api<EtlJob> = Api::all(client.clone());
    let list = jobs.list(&ListParams::default().limit(1)).await?;
    let rest = list.metadata.remaining_item_count.unwrap_or(0);
    Ok(list.items.len() + usize::try_from(rest)?)
}

/// Puts `count` copies of the EtlJob `name` into its namespace, exactly as the API
/// server has stored it but for the name and the uid, and their rows into the
/// ledger.
pub(crate) fn copy(bed: &Bed, namespace: &str, name: &str, count: usize) -> Result<()> {
    let site = &bed.site;
    let identities = (0..count).map(|number| (copy_name(number), copy_uid(number)));
    bed.ledger.copy(namespace, name, identities)?;
    let key = |name: &str| format!("/registry/etl-operator.io/etljobs/{namespace}/{name}");
    let range = site.etcd("/v3/kv/range", &json!({"key": encode(&key(name))}))?;
    let stored = range["kvs"][0]["value"].as_str();
    let stored = stored.with_context(|| format!("{namespace}/{name} is not in etcd"))?;
    let model: Value = serde_json::from_slice(&STANDARD.decode(stored)?)?;
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(BATCH) {
        let puts: Vec<Value> = batch
            .iter()
            .map(|number| {
                let name = copy_name(*number);
                let copy = with_identity(&model, &name, &copy_uid(*number)).to_string();
                json!({"requestPut": {"key": encode(&key(&name)), "value": encode(&copy)}})
            })
            .collect();
        site.etcd("/v3/kv/txn", &json!({"success": puts}))?;
    }
    Ok(())
}

fn copy_name(number: usize) -> String {
    format!("copy-{number:06}")
}

fn copy_uid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn with_identity(model: &Value, name: &str, uid: &str) -> Value {
    let mut copy = model.clone();
    copy["metadata"]["name"] = name.into();
    copy["metadata"]["uid"] = uid.into();
    copy
}

fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_differs_in_name_and_uid_alone() {
        let model = json!({
            "metadata": {"name": "a", "uid": "u", "generation": 1}, "status": {"phase": "Complete"},
        });
        let mut copy = with_identity(&model, "b", &copy_uid(10));
        assert_eq!(copy["metadata"]["name"], "b");
        assert_eq!(
            copy["metadata"]["uid"],
            "00000000-0000-4000-8000-00000000000a"
        );
        copy["metadata"]["name"] = "a".into();
        copy["metadata"]["uid"] = "u".into();
        assert_eq!(copy, model);
    }
}
