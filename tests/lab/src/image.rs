//! Container images without a container engine: an archive that `ctr images
//! import` and `docker load` take, made from plain files.
//!
//! The same files give the same bytes: entries are sorted, times are zero.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};

mod product;
mod runtime;

pub use product::{OPERATOR_IMAGE, Profile, VERSION, WORKER_IMAGE, build};

use crate::layout::Layout;

/// The user of all our images; the number that distroless images call nonroot.
const USER: &str = "65532:65532";

/// An image archive on disk.
#[derive(Debug, Clone)]
pub struct Archive {
    path: PathBuf,
    tag: String,
    digest: String,
}

impl Archive {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name that the image is known by, with its tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The digest of the image's configuration, which covers all its content.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// One layer: paths without a leading slash, with what is there.
#[derive(Debug, Default)]
pub struct Layer {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    kind: tar::EntryType,
    mode: u32,
    content: Vec<u8>,
}

impl Layer {
    /// Adds a file with the given content.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> &mut Self {
        self.add(
            path,
            Entry {
                kind: tar::EntryType::Regular,
                mode,
                content: content.into(),
            },
        )
    }

    /// Adds a copy of a file of this machine; links are followed.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn copy(&mut self, path: &str, mode: u32, source: &Path) -> Result<&mut Self> {
        let content =
            fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        Ok(self.file(path, mode, content))
    }

    /// Adds an empty folder.
    pub fn directory(&mut self, path: &str, mode: u32) -> &mut Self {
        self.add(
            path,
            Entry {
                kind: tar::EntryType::Directory,
                mode,
                content: Vec::new(),
            },
        )
    }

    fn add(&mut self, path: &str, entry: Entry) -> &mut Self {
        self.entries
            .insert(path.trim_start_matches('/').to_owned(), entry);
        self
    }

    fn to_tar(&self) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            append(&mut archive, path, entry.kind, entry.mode, &entry.content)?;
        }
        Ok(archive.into_inner()?)
    }
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    kind: tar::EntryType,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)?;
    Ok(())
}

/// Writes an image of `layers` whose containers run `entrypoint`.
///
/// # Errors
/// A file that cannot be written.
pub fn write(out: &Path, tag: &str, entrypoint: &[&str], layers: &[Layer]) -> Result<Archive> {
    let tars = layers
        .iter()
        .map(Layer::to_tar)
        .collect::<Result<Vec<_>>>()?;
    let digests: Vec<String> = tars.iter().map(|tar| sha256(tar)).collect();
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "User": USER, "WorkingDir": "/"},
        "rootfs": {
            "type": "layers",
            "diff_ids": digests.iter().map(|d| format!("sha256:{d}")).collect::<Vec<_>>(),
        },
    })
    .to_string();
    let digest = sha256(config.as_bytes());
    let config_name = format!("{digest}.json");
    let layer_names: Vec<String> = digests.iter().map(|d| format!("{d}/layer.tar")).collect();
    let manifest =
        json!([{"Config": config_name, "RepoTags": [tag], "Layers": layer_names}]).to_string();

    // Complete or not there: somebody else may be loading the old one.
    let partial = out.with_extension(format!("{}.partial", std::process::id()));
    let file =
        File::create(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let mut archive = tar::Builder::new(file);
    let regular = tar::EntryType::Regular;
    append(
        &mut archive,
        &config_name,
        regular,
        0o644,
        config.as_bytes(),
    )?;
    for (name, tar) in layer_names.iter().zip(&tars) {
        append(&mut archive, name, regular, 0o644, tar)?;
    }
    append(
        &mut archive,
        "manifest.json",
        regular,
        0o644,
        manifest.as_bytes(),
    )?;
    archive.into_inner()?.flush()?;
    fs::rename(&partial, out).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(Archive {
        path: out.to_owned(),
        tag: tag.to_owned(),
        digest: format!("sha256:{digest}"),
    })
}

/// The image of the process that keeps a pod's namespaces open.
pub(crate) fn pause(bin: &Path, layout: &Layout) -> Result<Archive> {
    let mut layer = Layer::default();
    layer.copy("pause", 0o755, &bin.join("pause"))?;
    write(
        &layout.root().join("pause.tar"),
        crate::node::PAUSE_IMAGE,
        &["/pause"],
        &[layer],
    )
}

/// An image that runs one program of this machine, with the libraries it needs:
/// `tag` is its name, `program` the file.
///
/// # Errors
/// A program whose libraries cannot be found.
pub fn of_program(out: &Path, tag: &str, program: &Path) -> Result<Archive> {
    let runtime = runtime::layer(program)?;
    let name = program
        .file_name()
        .and_then(|n| n.to_str())
        .context("a program has a name")?;
    let path = format!("/usr/local/bin/{name}");
    let mut layer = Layer::default();
    layer.copy(&path, 0o755, program)?;
    write(out, tag, &[&path], &[runtime, layer])
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The processor's name as Go and image registries spell it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn sample(order: [&str; 2]) -> Layer {
        let mut layer = Layer::default();
        for path in order {
            layer.file(path, 0o644, path);
        }
        layer.directory("tmp", 0o1777);
        layer
    }

    #[test]
    fn the_same_files_give_the_same_bytes_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.tar"), folder.path().join("two.tar"));
        let first = write(&one, "localhost/x:1", &["/a"], &[sample(["a", "/b"])]).unwrap();
        let second = write(&two, "localhost/x:1", &["/a"], &[sample(["/b", "a"])]).unwrap();
        assert_eq!(first.digest(), second.digest());
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
    }

    #[test]
    fn the_manifest_names_a_layer_whose_digest_is_in_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        write(&path, "localhost/x:1", &["/a"], &[sample(["a", "b"])]).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(File::open(path).unwrap())
            .entries()
            .unwrap()
        {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(name, content);
        }
        let json =
            |name: &str| -> serde_json::Value { serde_json::from_slice(&files[name]).unwrap() };
        let manifest = json("manifest.json");
        let config = json(manifest[0]["Config"].as_str().unwrap());
        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()];
        assert_eq!(
            config["rootfs"]["diff_ids"][0],
            format!("sha256:{}", sha256(layer))
        );
        assert_eq!(config["config"]["User"], "65532:65532");
    }
}
