//! The published definition: current, small enough and explained.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::Value;

fn schema() -> Value {
    let crd = serde_json::to_value(etl_api::etljob_crd()).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `visit` with the path of every property below `schema`.
fn properties(schema: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    if let Some(members) = schema["properties"].as_object() {
        for (name, member) in members {
            let path = format!("{path}.{name}");
            visit(&path, member);
            properties(member, &path, visit);
        }
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[inner].is_object() {
            let path = format!("{path}{mark}");
            visit(&path, &schema[inner]);
            properties(&schema[inner], &path, visit);
        }
    }
}

#[test]
fn generated_files_are_current() {
    let generated = etl_api::etljob_crd_yaml();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for file in [
        "crds/etljobs.yaml",
        "charts/etl-operator/files/etljobs.yaml",
    ] {
        let present = std::fs::read_to_string(format!("{root}/{file}")).unwrap();
        assert!(
            present == generated,
            "{file} is not current: run `cargo xtask gen`"
        );
    }
}

#[test]
fn the_definition_stays_below_200_kb() {
    assert!(etl_api::etljob_crd_yaml().len() < 200_000);
}

#[test]
fn every_field_is_explained() {
    let mut silent = Vec::new();
    properties(&schema(), "", &mut |path, field| {
        if field["description"].as_str().is_none_or(str::is_empty) {
            silent.push(path.to_owned());
        }
    });
    // Kubernetes' own members of the root, and the members of lists and maps,
    // which the list or map explains.
    silent.retain(|path| ![".apiVersion", ".kind", ".metadata"].contains(&path.as_str()));
    silent.retain(|path| !path.ends_with("[]") && !path.ends_with("{}"));
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn every_text_list_and_map_of_the_spec_is_bounded() {
    let mut unbounded = Vec::new();
    properties(
        &schema()["properties"]["spec"],
        "spec",
        &mut |path, field| {
            // Kubernetes' own type has no bounds; the list of them has.
            if path.starts_with("spec.worker.tolerations[]") {
                return;
            }
            let bounded = match field["type"].as_str() {
                Some("string") => ["maxLength", "enum", "pattern", "format"]
                    .iter()
                    .any(|bound| !field[bound].is_null()),
                Some("array") => !field["maxItems"].is_null(),
                Some("object") if !field["additionalProperties"].is_null() => {
                    !field["maxProperties"].is_null()
                }
                Some("integer") => !field["maximum"].is_null(),
                _ => true,
            };
            if !bounded {
                unbounded.push(path.to_owned());
            }
        },
    );
    assert!(unbounded.is_empty(), "{unbounded:?}");
}

#[test]
fn nothing_looks_current_before_it_was_seen() {
    assert_eq!(
        schema()["properties"]["status"]["default"]["observedGeneration"],
        -1
    );
}
