//! Certificates and kubeconfigs of the lab's parts.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use crate::layout::{Layout, write};
use crate::net::{API_SERVER, BRIDGE};
use crate::process::run;

/// The authority, the API server's certificate, the key that signs the tokens
/// of service accounts, and the kubeconfigs of the control plane.
pub(crate) fn create(layout: &Layout) -> Result<()> {
    let new = [
        "req",
        "-x509",
        "-subj",
        "/CN=etl-lab",
        "-out",
        "ca.crt",
        "-keyout",
        "ca.key",
    ];
    openssl(layout, &[&new[..], &KEY].concat())?;
    let names = format!(
        "subjectAltName=IP:127.0.0.1,IP:{API_SERVER},IP:{BRIDGE},DNS:localhost,\
         DNS:kubernetes.default.svc"
    );
    issue(layout, "apiserver", "/CN=kube-apiserver", &names)?;
    user(layout, "admin", "/O=system:masters/CN=admin")?;
    user(
        layout,
        "controller-manager",
        "/CN=system:kube-controller-manager",
    )?;
    user(layout, "scheduler", "/CN=system:kube-scheduler")?;
    openssl(
        layout,
        &[
            "ecparam",
            "-genkey",
            "-name",
            "prime256v1",
            "-noout",
            "-out",
            "sa.key",
        ],
    )?;
    openssl(
        layout,
        &["ec", "-in", "sa.key", "-pubout", "-out", "sa.pub"],
    )
}

/// The kubeconfig of a node's kubelet.
pub(crate) fn node(layout: &Layout, node: &str) -> Result<()> {
    user(
        layout,
        &format!("node-{node}"),
        &format!("/O=system:nodes/CN=system:node:{node}"),
    )
}

/// New keys are P-256: the lab starts in seconds, and RSA keys would be a good
/// part of them.
const KEY: [&str; 7] = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "30",
];

fn user(layout: &Layout, name: &str, subject: &str) -> Result<()> {
    issue(layout, name, subject, "extendedKeyUsage=clientAuth")?;
    let pki = layout.pki();
    let user = json!({
        "client-certificate": pki.join(format!("{name}.crt")),
        "client-key": pki.join(format!("{name}.key")),
    });
    kubeconfig(layout, name, &user)
}

/// Writes the kubeconfig of the user called `name`, with his credentials.
pub(crate) fn kubeconfig(layout: &Layout, name: &str, user: &Value) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {
            "server": format!("https://{BRIDGE}:443"),
            "certificate-authority": layout.pki().join("ca.crt"),
        }}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name}}],
        "current-context": "lab",
    });
    write(&layout.kubeconfig_of(name), config.to_string())
}

fn issue(layout: &Layout, name: &str, subject: &str, extension: &str) -> Result<()> {
    let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
    let new = [
        "req", "-x509", "-CA", "ca.crt", "-CAkey", "ca.key", "-subj", subject,
    ];
    // Without this the certificate would be an authority of its own.
    let extensions = [
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-addext",
        extension,
    ];
    let files = ["-out", &certificate, "-keyout", &key];
    openssl(layout, &[&new[..], &extensions, &files, &KEY].concat())
}

fn openssl(layout: &Layout, arguments: &[&str]) -> Result<()> {
    run(Command::new("openssl")
        .args(arguments)
        .current_dir(layout.pki()))?;
    Ok(())
}
