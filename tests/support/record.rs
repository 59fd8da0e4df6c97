//! Keeping what is known about a scenario that failed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tenant::Tenant;

impl Tenant<'_> {
    /// Writes objects, descriptions, logs, the keys of the bucket and the ledger's
    /// rows to `target/lab-logs/<test>`, and returns that folder.
    ///
    /// # Errors
    /// Files that cannot be written. What cannot be found out is written down as
    /// that.
    pub async fn record(&self, test: &str) -> Result<PathBuf> {
        let folder = etl_lab::repository().join("target/lab-logs").join(test);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        self.keep_namespace(&folder, self.namespace())?;
        // The examples are for the namespace that everybody has.
        let default = folder.join("namespace-default");
        fs::create_dir_all(&default)?;
        self.keep_namespace(&default, "default")?;
        fs::write(folder.join("operator.log"), self.lab().operator_log()?)?;
        let objects = self.list("").await;
        fs::write(folder.join("bucket.txt"), format!("{objects:#?}\n"))?;
        let rows = self
            .lab()
            .dynamodb()
            .scan()
            .table_name(etl_lab::LEDGER_TABLE)
            .send()
            .await;
        let rows = rows.map(|answer| answer.items.unwrap_or_default());
        fs::write(folder.join("ledger.txt"), format!("{rows:#?}\n"))?;
        Ok(folder)
    }

    fn keep_namespace(&self, folder: &Path, namespace: &str) -> Result<()> {
        let kinds = "etljobs,jobs,pods,events,secrets,serviceaccounts";
        let written: [(&str, &[&str]); 4] = [
            ("describe.txt", &["describe", "etljobs,jobs,pods"]),
            (
                "objects.yaml",
                &["get", "etljobs,jobs,pods", "--output=yaml"],
            ),
            ("overview.txt", &["get", kinds, "--output=wide"]),
            ("events.txt", &["get", "events", "--sort-by=.lastTimestamp"]),
        ];
        for (file, arguments) in written {
            fs::write(folder.join(file), self.ask(namespace, arguments)?)?;
        }
        let pods = self.ask(namespace, &["get", "pods", "--output=name"])?;
        for pod in String::from_utf8_lossy(&pods).lines() {
            let Some(name) = pod.strip_prefix("pod/") else {
                continue;
            };
            let log = self.ask(namespace, &["logs", "--all-containers", "--prefix", name])?;
            fs::write(folder.join(format!("pod-{name}.log")), log)?;
        }
        Ok(())
    }

    /// What kubectl answers about a namespace, be it a complaint.
    fn ask(&self, namespace: &str, arguments: &[&str]) -> Result<Vec<u8>> {
        let namespace = format!("--namespace={namespace}");
        let output = self.lab().kubectl(&[arguments, &[&namespace]].concat())?;
        Ok(if output.status.success() {
            output.stdout
        } else {
            output.stderr
        })
    }
}
