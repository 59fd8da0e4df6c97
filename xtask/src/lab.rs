//! A lab that stays up.

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use etl_lab::cache::Artefacts;
use etl_lab::image::{self, Profile};
use etl_lab::{Layout, Lifetime, Site, enter, repository, sweep};
use serde_json::json;

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Start a lab with the operator installed; it stays up in the background
    Up {
        #[command(flatten)]
        name: Name,
        /// Leave the operator out: only the cluster and the stores
        #[arg(long)]
        bare: bool,
    },
    /// Stop a lab and remove its data
    Down(Name),
    /// Print what makes kubectl and helm talk to a lab: eval "$(cargo xtask lab env)"
    Env(Name),
    /// Build and fetch the lab's programs without starting anything
    Fetch,
}

#[derive(Args)]
pub(crate) struct Name {
    /// Labs of different names can be up side by side
    #[arg(long, default_value = "dev")]
    name: String,
}

pub(crate) fn run(task: &Task) -> Result<()> {
    match task {
        Task::Up { name, bare } => up(&name.name, *bare),
        Task::Down(Name { name }) => sweep(name),
        Task::Env(Name { name }) => environment(name),
        Task::Fetch => Artefacts::ensure().map(drop),
    }
}

fn up(name: &str, bare: bool) -> Result<()> {
    let artefacts = Artefacts::ensure()?;
    let images = if bare {
        Vec::new()
    } else {
        image::build(Profile::Dev, &repository().join("target/images"))?
    };
    // Downloads and builds are over: from here on there is no way out.
    let site = Site::start(enter(name)?, &artefacts, &images, Lifetime::Detached)?;
    site.create_ledger_table()?;
    if !bare {
        site.install_chart(&json!({"worker": {"namespaces": ["default"]}}))?;
        site.apply(&site.store_secret("default"))?;
    }
    seed(&site)?;
    println!("Lab {name} is up. To use it:");
    println!("    eval \"$(cargo xtask lab env --name {name})\"");
    println!("    kubectl apply -f examples/01-hello.yaml");
    println!("    kubectl wait --for=condition=Complete ej/hello");
    println!(
        "S3 at {} and DynamoDB at {}, inside the lab only.",
        site.s3().endpoint(),
        site.dynamodb().endpoint()
    );
    println!("Logs are in {}.", site.layout().log().display());
    println!("To end it: cargo xtask lab down --name {name}");
    Ok(())
}

/// The buckets and the objects that the examples speak of.
fn seed(site: &Site) -> Result<()> {
    let name = "yellow_tripdata_2021-01.first-22k.parquet";
    let file = repository().join("tests/data").join(name);
    site.put_object("raw-data", &format!("2021/01/15/{name}"), &file)?;
    site.create_bucket("processed-data")
}

fn environment(name: &str) -> Result<()> {
    let layout = Layout::of(name)?;
    ensure!(
        layout.kubeconfig().is_file(),
        "lab {name} is not up: cargo xtask lab up --name {name}"
    );
    let folder = layout.bin();
    let folder = folder
        .to_str()
        .context("the cache folder's name is not UTF-8")?;
    println!("export PATH='{folder}':\"$PATH\"");
    Ok(())
}
