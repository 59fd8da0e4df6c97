//! From the source URI to the objects that are meant, with their identities.

use etl_contract::Source;

use super::select::Window;
use super::{Input, MAX_OBJECTS, PlanError, Selection};
use crate::store::{Kind, Object, Pin, Store};

/// The one object at the source URI.
pub(super) async fn single(
    source: &Source,
    name: &str,
    store: &dyn Store,
) -> Result<Input, PlanError> {
    let uri = store.uri(name);
    // The pinned etag is compared here and not by the store: events spell it
    // without the quotes.
    let pin = Pin {
        etag: None,
        version: source.version_id.clone(),
    };
    let object = match store.head(name, &pin).await {
        Err(error) if error.kind() == Kind::NotFound => return Err(PlanError::NoObject { uri }),
        outcome => outcome?,
    };
    if source
        .etag
        .as_deref()
        .is_some_and(|etag| unquoted(etag) != unquoted(&object.etag))
    {
        return Err(PlanError::Changed { uri });
    }
    let window = Window::of(source);
    if !window.contains(object.modified) {
        let criteria = window.to_string().trim_start_matches(", ").to_owned();
        return Err(PlanError::NothingSelected {
            uri,
            seen: 1,
            criteria,
        });
    }
    Ok(input(object))
}

/// The selected objects below the source URI.
pub(super) async fn below_prefix(
    source: &Source,
    store: &dyn Store,
) -> Result<Vec<Input>, PlanError> {
    let uri = store.uri("");
    let pins = [("versionId", &source.version_id), ("etag", &source.etag)];
    if let Some((field, _)) = pins.into_iter().find(|(_, pin)| pin.is_some()) {
        return Err(PlanError::PinnedPrefix { uri, field });
    }
    let selection = Selection::new(source)?;
    let mut inputs = Vec::new();
    let mut seen = 0;
    let mut next: Option<String> = None;
    loop {
        let page = store.list("", next.as_deref()).await?;
        seen += page.objects.len() as u64;
        inputs.extend(
            page.objects
                .into_iter()
                .filter(|o| selection.matches(o))
                .map(input),
        );
        if inputs.len() > MAX_OBJECTS {
            return Err(PlanError::TooMany { uri });
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    if inputs.is_empty() {
        let criteria = selection.to_string();
        return Err(PlanError::NothingSelected {
            uri,
            seen,
            criteria,
        });
    }
    Ok(inputs)
}

fn input(object: Object) -> Input {
    Input {
        key: object.key,
        version: object.version,
        etag: object.etag,
        size: object.size,
        row_groups: None,
        output: String::new(),
    }
}

fn unquoted(etag: &str) -> &str {
    etag.trim_matches('"')
}
