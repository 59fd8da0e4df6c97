//! The tests that `docs/reliability.md` names are there.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use etl_lab::repository;

const PAGE: &str = "docs/reliability.md";
const CODE: &[&str] = &["operator", "worker", "cli", "tests", "fuzz"];

pub(crate) fn check() -> Result<()> {
    let root = repository();
    let page = fs::read_to_string(root.join(PAGE)).context(PAGE)?;
    let mut functions = HashSet::new();
    for folder in CODE {
        collect(&root.join(folder), &mut functions)?;
    }
    let missing: Vec<&str> = tests_named_in(&page)
        .filter(|name| !functions.contains(*name))
        .collect();
    ensure!(
        missing.is_empty(),
        "{PAGE} names tests that are not there: {}. Name those that took their place",
        missing.join(", ")
    );
    Ok(())
}

/// Words set as code in the last column of the page's tables, as far as they can
/// be names of tests.
fn tests_named_in(page: &str) -> impl Iterator<Item = &str> {
    page.lines()
        .filter_map(|line| line.strip_suffix('|')?.rsplit_once('|'))
        .flat_map(|(_, shown_by)| shown_by.split('`').skip(1).step_by(2))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter(|word| word.contains('_') && word.chars().all(is_part_of_name))
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

fn collect(folder: &Path, functions: &mut HashSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, functions)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let code = fs::read_to_string(&path)?;
            functions.extend(code.split("fn ").skip(1).map(|rest| {
                let end = rest.find(|c| !is_part_of_name(c)).unwrap_or(rest.len());
                rest[..end].to_owned()
            }));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_the_last_column_only() {
        let page =
            "text `no_name`\n| `a_cell` | why | `first_name`, `_no`, `second_name` and `x` |\n";
        let names: Vec<&str> = tests_named_in(page).collect();
        assert_eq!(names, ["first_name", "second_name"]);
    }
}
