//! This package lists its lints itself, because one module may do what the
//! workspace forbids. Nothing else may differ.

#![allow(clippy::unwrap_used, reason = "a missing file should stop the test")]

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

/// The lines of a table.
fn table(manifest: &Path, name: &str) -> BTreeSet<String> {
    let text = read_to_string(manifest).unwrap();
    let lines = text.lines().skip_while(|line| *line != format!("[{name}]"));
    let lines = lines.skip(1).take_while(|line| !line.starts_with('['));
    let settings = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    settings.map(str::to_owned).collect()
}

#[test]
fn the_lints_are_the_workspaces_except_that_unsafe_code_can_be_allowed() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (ours, workspace) = (package.join("Cargo.toml"), package.join("../../Cargo.toml"));
    let clippy = table(&workspace, "workspace.lints.clippy");
    assert!(!clippy.is_empty());
    assert_eq!(table(&ours, "lints.clippy"), clippy);

    let (mut ours, mut workspace) = (
        table(&ours, "lints.rust"),
        table(&workspace, "workspace.lints.rust"),
    );
    assert!(ours.remove("unsafe_code = \"deny\""));
    assert!(workspace.remove("unsafe_code = \"forbid\""));
    assert_eq!(ours, workspace);
}

/// Lists the modules that may hold unsafe code.
#[test]
fn unsafe_code_is_allowed_in_one_module() {
    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if read_to_string(&path)
                .unwrap()
                .contains("allow(\n    unsafe_code")
                || read_to_string(&path).unwrap().contains("allow(unsafe_code")
            {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&source, &mut found);
    let expected = source.join("columnar/raw/mod.rs");
    assert_eq!(found, [expected.to_string_lossy()]);
}
