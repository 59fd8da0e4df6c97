//! A document against the schema of its CustomResourceDefinition: the checks
//! that the API server makes of an object's structure.
//!
//! The API server prunes fields that it does not know, unless the client asks
//! for strictness; here they are always refused, because a misspelt field that
//! is dropped silently does something else than was meant. Rules in CEL are not
//! evaluated: `etl_core::validate` checks the same things.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex_lite::Regex;
use serde_json::{Map, Value};

use super::Finding;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let crd = serde_json::to_value(etl_api::etljob_crd()).unwrap_or_default();
    crd.pointer("/spec/versions/0/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_default()
});

/// Everything in `document` that the schema of EtlJob does not allow.
/// `apiVersion`, `kind` and `metadata` are left to the caller: the schema says
/// nothing of them.
pub(super) fn check(document: &Map<String, Value>) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    let outside = ["apiVersion", "kind", "metadata"];
    let body: Map<String, Value> = document
        .iter()
        .filter(|(name, _)| !outside.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    findings.object(&SCHEMA, &body, "");
    findings.0
}

/// Removes members that are null: for fields that are not nullable the API
/// server does the same before it looks at the schema.
pub(super) fn prune_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(prune_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(prune_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, path: &str, message: String) {
        self.0.push(Finding {
            path: path.to_owned(),
            message,
        });
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if !has_type(schema, value) {
            let wanted = type_name(schema);
            self.add(path, format!("must be {wanted}, is {}", shown(value)));
            return;
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            let names: Vec<_> = allowed.iter().map(shown).collect();
            self.add(
                path,
                format!("must be one of {}, is {}", names.join(", "), shown(value)),
            );
        }
        match value {
            Value::Object(members) => self.object(schema, members, path),
            Value::Array(items) => self.array(schema, items, path),
            Value::String(text) => self.string(schema, text, path),
            Value::Number(number) => self.number(schema, number.as_f64(), path),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn object(&mut self, schema: &Value, members: &Map<String, Value>, path: &str) {
        if let Some(required) = schema["required"].as_array() {
            for name in required.iter().filter_map(Value::as_str) {
                if !members.contains_key(name) {
                    self.add(&join(path, name), "is required".to_owned());
                }
            }
        }
        self.at_most(schema, "maxProperties", members.len(), "entries", path);
        let known = schema["properties"].as_object();
        let open = schema["x-kubernetes-preserve-unknown-fields"] == Value::Bool(true);
        for (name, member) in members {
            let path = join(path, name);
            if let Some(schema) = known.and_then(|known| known.get(name)) {
                self.value(schema, member, &path);
            } else if schema["additionalProperties"].is_object() {
                self.value(&schema["additionalProperties"], member, &path);
            } else if !open {
                let names = known
                    .into_iter()
                    .flat_map(Map::keys)
                    .cloned()
                    .collect::<Vec<_>>();
                self.add(
                    &path,
                    format!("unknown field; known here: {}", names.join(", ")),
                );
            }
        }
    }

    fn array(&mut self, schema: &Value, items: &[Value], path: &str) {
        self.at_least(schema, "minItems", items.len(), "entries", path);
        self.at_most(schema, "maxItems", items.len(), "entries", path);
        for (index, item) in items.iter().enumerate() {
            self.value(&schema["items"], item, &format!("{path}[{index}]"));
        }
    }

    fn string(&mut self, schema: &Value, text: &str, path: &str) {
        let length = text.chars().count();
        self.at_least(schema, "minLength", length, "characters", path);
        self.at_most(schema, "maxLength", length, "characters", path);
        if let Some(pattern) = schema["pattern"].as_str()
            && !Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
        {
            self.add(path, format!("must match {pattern}, is {text:?}"));
        }
        if schema["format"] == "date-time" && text.parse::<Timestamp>().is_err() {
            self.add(
                path,
                format!("must be a time like 2021-01-15T00:00:00Z, is {text:?}"),
            );
        }
    }

    fn number(&mut self, schema: &Value, number: Option<f64>, path: &str) {
        let Some(number) = number else { return };
        if let Some(least) = schema["minimum"].as_f64()
            && number < least
        {
            self.add(path, format!("must be at least {least}, is {number}"));
        }
        if let Some(most) = schema["maximum"].as_f64()
            && number > most
        {
            self.add(path, format!("must be at most {most}, is {number}"));
        }
    }

    fn at_least(&mut self, schema: &Value, limit: &str, size: usize, unit: &str, path: &str) {
        if let Some(least) = schema[limit].as_u64()
            && (size as u64) < least
        {
            self.add(
                path,
                format!("must have at least {least} {unit}, has {size}"),
            );
        }
    }

    fn at_most(&mut self, schema: &Value, limit: &str, size: usize, unit: &str, path: &str) {
        if let Some(most) = schema[limit].as_u64()
            && size as u64 > most
        {
            self.add(path, format!("must have at most {most} {unit}, has {size}"));
        }
    }
}

fn has_type(schema: &Value, value: &Value) -> bool {
    if schema["x-kubernetes-int-or-string"] == Value::Bool(true) {
        return value.is_string() || value.is_i64() || value.is_u64();
    }
    match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => true,
    }
}

fn type_name(schema: &Value) -> String {
    match schema["type"].as_str() {
        Some("object") => "a map".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("string") => "a string".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => "a whole number".to_owned(),
        Some(other) => format!("a {other}"),
        None => "a whole number or a string".to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "a map".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => value.to_string(),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(document: Value) -> Vec<String> {
        let Value::Object(document) = document else {
            panic!("not an object")
        };
        check(&document)
            .iter()
            .map(|f| format!("{}: {}", f.path, f.message))
            .collect()
    }

    fn job(spec: &Value) -> Value {
        let mut job = json!({
            "apiVersion": "etl-operator.io/v1alpha1",
            "kind": "EtlJob",
            "metadata": {"name": "a"},
            "spec": {"source": {"uri": "s3://raw/a"}, "output": {"uri": "s3://out/"}},
        });
        for (name, value) in spec.as_object().unwrap() {
            job["spec"][name] = value.clone();
        }
        job
    }

    #[test]
    fn a_good_document_has_no_findings() {
        let good = job(&json!({
            "worker": {"resources": {"limits": {"memory": "512Mi", "cpu": 2}},
                       "tolerations": [{"key": "spot", "operator": "Exists"}],
                       "nodeSelector": {"disk": "fast"}},
            "retryPolicy": {"maxAttempts": 5, "backoff": {"initialSeconds": 0}},
        }));
        assert_eq!(findings(good), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_departure_is_found_with_its_path() {
        for (spec, expected) in [
            (
                json!({"sauce": 1}),
                "spec.sauce: unknown field; known here: cancel, execution, output,",
            ),
            (json!({"source": {}}), "spec.source.uri: is required"),
            (
                json!({"source": {"uri": 1}}),
                "spec.source.uri: must be a string, is 1",
            ),
            (
                json!({"execution": {"parallelism": 0}}),
                "spec.execution.parallelism: must be at least 1, is 0",
            ),
            (
                json!({"execution": {"parallelism": 1.5}}),
                "spec.execution.parallelism: must be a whole number, is 1.5",
            ),
            (
                json!({"worker": {"tolerations": [{"keys": "a"}]}}),
                "spec.worker.tolerations[0].keys: unknown field",
            ),
            (
                json!({"worker": {"resources": {"limits": {"memory": "lots"}}}}),
                "spec.worker.resources.limits.memory: must match ",
            ),
            (
                json!({"source": {"uri": "s3://raw/a/", "include": []}}),
                "spec.source.include: must have at least 1 entries, has 0",
            ),
        ] {
            let found = findings(job(&spec));
            assert!(
                found.len() == 1 && found[0].starts_with(expected),
                "{found:?}"
            );
        }
    }

    #[test]
    fn an_enum_names_what_it_allows() {
        let mut wrong = job(&json!({}));
        wrong["spec"]["output"]["format"] = json!("Csv");
        let expected = r#"spec.output.format: must be one of "JsonLines", "JsonArray", is "Csv""#;
        assert_eq!(findings(wrong), [expected]);
    }
}
