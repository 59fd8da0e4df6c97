//! Schemas of values that Rust types do not describe as Kubernetes needs it.

use schemars::{Schema, SchemaGenerator, json_schema};

pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

pub(crate) fn optional_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}

pub(crate) fn optional_quantity(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = quantity(generator);
    schema.insert("nullable".to_owned(), true.into());
    schema
}

pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        // As the API server's own pattern for quantities, without signs.
        "pattern": r"^([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][0-9]+))?$",
        "maxLength": 32
    })
}
