//! The CustomResourceDefinition as it is published.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON,
};
use kube::CustomResourceExt;
use serde_json::json;

use crate::EtlJob;

/// The definition of `EtlJob`: what the derive makes, plus what it cannot say.
pub fn etljob_crd() -> CustomResourceDefinition {
    let mut crd = EtlJob::crd();
    for version in &mut crd.spec.versions {
        let Some(root) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        // Nothing may look current before the operator has seen it: kstatus
        // compares this with metadata.generation.
        if let Some(status) = root.properties.as_mut().and_then(|p| p.get_mut("status")) {
            status.default = Some(JSON(json!({ "observedGeneration": -1 })));
        }
    }
    crd
}

/// The same as a YAML document, as it stands in `crds/etljobs.yaml`.
pub fn etljob_crd_yaml() -> String {
    let value = serde_json::to_value(etljob_crd()).expect("a definition is valid JSON");
    serde_saphyr::to_string(&value).expect("a JSON value is valid YAML")
}
