//! Installing the product into a lab, with Helm and from the chart as it is.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::image::{OPERATOR_IMAGE, VERSION, WORKER_IMAGE};
use crate::layout::{repository, write};
use crate::seed::LEDGER_TABLE;
use crate::site::Site;

/// The namespace that the operator is installed into; also the release's name.
pub const CHART_NAMESPACE: &str = "etl-operator";
/// The id of the lab's cluster in ledger rows and object owners.
pub const CLUSTER_ID: &str = "lab";
/// The Secret with the keys of the stores: in the operator's namespace for the
/// ledger, in a tenant's for its workers.
pub const STORE_SECRET: &str = "etl-s3";

impl Site {
    /// The values that make the chart fit the lab.
    #[must_use]
    pub fn chart_values(&self) -> Value {
        let image =
            |repository| json!({"repository": repository, "tag": VERSION, "pullPolicy": "Never"});
        json!({
            "clusterId": CLUSTER_ID,
            "image": image(OPERATOR_IMAGE),
            "worker": {
                "image": image(WORKER_IMAGE),
                "credentialsSecretName": STORE_SECRET,
                // Several workers have to fit on a machine of two processors.
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"memory": "512Mi"},
                },
            },
            "aws": {"region": "us-east-1", "endpointUrl": self.s3().endpoint()},
            "ledger": {
                "tableName": LEDGER_TABLE,
                "endpointUrl": self.dynamodb().endpoint(),
                "credentialsSecretName": STORE_SECRET,
            },
        })
    }

    /// Installs the chart, or upgrades it, and waits until the operator is ready:
    /// not at all when there are to be none. `overrides` are merged over
    /// [`Site::chart_values`].
    ///
    /// # Errors
    /// What Helm says.
    pub fn install_chart(&self, overrides: &Value) -> Result<()> {
        let mut values = self.chart_values();
        merge(&mut values, overrides);
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": CHART_NAMESPACE}}))?;
        self.apply(&self.store_secret(CHART_NAMESPACE))?;
        let file = self.layout().root().join("values.json");
        write(&file, values.to_string())?;
        let chart = repository().join("charts/etl-operator");
        let (file, chart) = (file.display().to_string(), chart.display().to_string());
        let output = self.helm(&[
            "upgrade",
            "--install",
            CHART_NAMESPACE,
            &chart,
            "--namespace",
            CHART_NAMESPACE,
            "--values",
            &file,
            "--wait",
            "--timeout=120s",
        ])?;
        ensure!(
            output.status.success(),
            "cannot install the chart: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The Secret with the keys of the lab's stores, for `namespace`.
    #[must_use]
    pub fn store_secret(&self, namespace: &str) -> Value {
        let keys = self.s3().credentials();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": STORE_SECRET, "namespace": namespace},
            "stringData": {
                "AWS_ACCESS_KEY_ID": keys.access_key_id,
                "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            },
        })
    }

    /// Applies one object through kubectl.
    ///
    /// # Errors
    /// What the API server says.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let name = object["metadata"]["name"]
            .as_str()
            .context("an object has a name")?;
        let file = self.layout().root().join(format!("apply-{name}.json"));
        write(&file, object.to_string())?;
        let output = self.kubectl(&["apply", "-f", &file.display().to_string()])?;
        std::fs::remove_file(&file)?;
        let problem = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cannot apply {name}: {problem}");
        Ok(())
    }
}

/// Merges `over` into `base`: objects key by key, anything else is replaced.
pub fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => over.clone_into(base),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_win_and_leave_the_rest() {
        let mut base = json!({"worker": {"a": 1, "b": 2}, "list": [1, 2]});
        merge(
            &mut base,
            &json!({"worker": {"b": 3}, "list": [4], "new": true}),
        );
        assert_eq!(
            base,
            json!({"worker": {"a": 1, "b": 3}, "list": [4], "new": true})
        );
    }

    #[test]
    fn templates_quote_what_could_be_a_name_of_digits() {
        let folder = repository().join("charts/etl-operator/templates");
        let keys = ["name", "namespace", "value", "instance"];
        let (mut quoted, mut bare) = (0, Vec::new());
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            for line in text.lines().map(str::trim) {
                let line = line.trim_start_matches("- ");
                let Some((key, value)) = line.split_once(": {{") else {
                    continue;
                };
                // A label's prefix does not matter.
                let key = key.rsplit('/').next().unwrap_or(key);
                if !keys.contains(&key) && !key.ends_with("Name") {
                    continue;
                }
                if value.ends_with("quote }}") {
                    quoted += 1;
                } else {
                    bare.push(line.to_owned());
                }
            }
        }
        assert_eq!(bare, Vec::<String>::new());
        assert!(quoted > 20, "{quoted}");
    }
}
