//! What a dynamically linked program needs around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Layer;

/// Loaded by the C library when a name is looked up, so that no linker knows.
const NAME_LOOKUP: [&str; 3] = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The loader, the libraries, certificates and the user database.
pub(super) fn layer(program: &Path) -> Result<Layer> {
    let mut layer = Layer::default();
    for library in libraries(program)? {
        layer.copy(&library.display().to_string(), 0o755, &library)?;
    }
    if Path::new(CERTIFICATES).is_file() {
        layer.copy(CERTIFICATES, 0o644, Path::new(CERTIFICATES))?;
    }
    layer
        .directory("tmp", 0o1777)
        .file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/root:/sbin/nologin\n\
             nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n",
        )
        .file("etc/group", 0o644, "root:x:0:\nnonroot:x:65532:\n")
        .file("etc/nsswitch.conf", 0o644, "hosts: files dns\n");
    Ok(layer)
}

fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    ensure!(
        program.is_file(),
        "no program at {}: build it first",
        program.display()
    );
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot start ldd")?;
    // It refuses a static program, which needs nothing.
    if !output.status.success() {
        return Ok(Vec::new());
    }
    let mut found = parse(&String::from_utf8_lossy(&output.stdout))?;
    let folder = found
        .iter()
        .find(|path| path.ends_with("libc.so.6"))
        .and_then(|p| p.parent());
    if let Some(folder) = folder.map(Path::to_owned) {
        let extra = NAME_LOOKUP.map(|name| folder.join(name));
        found.extend(extra.into_iter().filter(|path| fs::metadata(path).is_ok()));
    }
    Ok(found)
}

/// Lines are `name => path (address)`, `path (address)` for the loader, or a
/// name without a path for what the kernel provides.
fn parse(listing: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in listing.lines().map(str::trim) {
        ensure!(!line.ends_with("not found"), "a library is missing: {line}");
        let path = line.split_once("=>").map_or(line, |(_, path)| path);
        let path = path.split_whitespace().next().unwrap_or_default();
        if path.starts_with('/') {
            found.push(PathBuf::from(path));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_the_libraries_are_found() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                       \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found = parse(listing).unwrap();
        let wanted = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(found, wanted.map(PathBuf::from));
    }

    #[test]
    fn a_missing_library_is_named() {
        let error = parse("\tlibssl.so.3 => not found\n").unwrap_err();
        assert!(error.to_string().contains("libssl.so.3"));
    }
}
