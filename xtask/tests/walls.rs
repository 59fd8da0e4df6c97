//! The walls between the crates: who must not depend on what.
//!
//! `cargo tree -e normal` is asked per package, because `cargo metadata` shows
//! features unified over the workspace and would fail for the wrong reason.

use std::process::Command;

/// Package, and prefixes of package names that must not be in its tree.
const WALLS: &[(&str, &[&str])] = &[
    (
        "etl-core",
        &[
            "kube-client",
            "kube-runtime",
            "tokio",
            "aws-",
            "tracing",
            "rand",
            "getrandom",
            "chrono",
            "etl-operator",
            "etl-worker",
            "etl-engine",
        ],
    ),
    (
        "etl-api",
        &["kube-client", "kube-runtime", "tokio", "aws-", "etl-core"],
    ),
    (
        "etl-contract",
        &[
            "kube",
            "k8s-openapi",
            "tokio",
            "aws-",
            "arrow",
            "parquet",
            "etl-api",
        ],
    ),
    (
        "etl-engine",
        &["tokio", "aws-", "kube", "k8s-openapi", "etl-"],
    ),
    (
        "etl-worker",
        &[
            "kube",
            "k8s-openapi",
            "aws-sdk-dynamodb",
            "etl-core",
            "etl-api",
        ],
    ),
    (
        "etl-operator",
        &["arrow", "parquet", "aws-sdk-s3", "etl-engine", "etl-worker"],
    ),
    (
        "kubectl-etl",
        &[
            "arrow",
            "parquet",
            "aws-",
            "etl-engine",
            "etl-worker",
            "etl-operator",
        ],
    ),
];

fn tree(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo tree -p {package}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .expect("cargo prints UTF-8")
        .lines()
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .filter(|name| name != package)
        .collect()
}

#[test]
fn no_crate_reaches_over_its_wall() {
    let mut breaches = Vec::new();
    for (package, forbidden) in WALLS {
        let tree = tree(package);
        assert!(tree.len() > 1, "the tree of {package} cannot be empty");
        for name in tree {
            let own = name == "etl-contract";
            if !own && forbidden.iter().any(|prefix| matches(&name, prefix)) {
                breaches.push(format!("{package} depends on {name}"));
            }
        }
    }
    breaches.sort();
    breaches.dedup();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

/// `aws-` stands for a family, `tokio` for that crate and its `tokio-*` kin.
fn matches(name: &str, prefix: &str) -> bool {
    if prefix.ends_with('-') {
        return name.starts_with(prefix);
    }
    name == prefix
        || name
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('-'))
}

#[test]
fn every_member_but_tests_and_tools_has_a_wall() {
    let manifest = include_str!("../../Cargo.toml");
    for member in [
        "cli",
        "crds",
        "operator",
        "operator/core",
        "worker",
        "worker/contract",
        "worker/engine",
    ] {
        assert!(
            manifest.contains(&format!("\"{member}\"")),
            "{member} has moved: update WALLS"
        );
    }
    assert_eq!(WALLS.len(), 7);
}
