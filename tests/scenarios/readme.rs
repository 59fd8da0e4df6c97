//! The commands of the README, so that scenarios run what stands there.

use std::fs;

use anyhow::{Context, Result};
use etl_tests::repository;

/// A command, word by word.
pub(crate) type Words = Vec<String>;

/// The commands of the shell block that `mark` stands in.
pub(crate) fn commands(mark: &str) -> Result<Vec<Words>> {
    let text = fs::read_to_string(repository().join("README.md"))?;
    let block = text
        .split("\n```sh\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("\n```")?.0))
        .find(|block| block.contains(mark))
        .with_context(|| format!("the README has no commands with {mark:?}"))?;
    let lines = block.replace("\\\n", " ");
    Ok(lines.lines().map(words).collect())
}

/// As a shell reads a line without variables: comments and quotes go. Files of
/// the repository are named from its root, where the README's reader is.
fn words(line: &str) -> Words {
    let line = line.split(" #").next().unwrap_or_default();
    line.split_whitespace()
        .map(|word| word.replace(['\'', '"'], ""))
        .map(|word| {
            let file = repository().join(&word);
            if word.contains('/') && file.exists() {
                file.display().to_string()
            } else {
                word
            }
        })
        .collect()
}
