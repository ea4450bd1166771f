//! The homeserver's image: the program, and what it cannot run without.

use std::env;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use super::{Form, build};
use crate::compose::owner::Owner;
use crate::docker::{done, text};
use crate::narrator::Narrator;
use crate::network::binaries::source_root;
use crate::network::{Binaries, BuildChoice};

/// For which machine a program that is linked statically is built.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Cargo's profile of a program that goes into an image.
const PROFILE: &str = "image";
/// Where systems keep the certificate authorities that they trust.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes the image.
///
/// # Errors
/// When the program cannot be built, or the image not be made of it.
pub async fn make(choice: BuildChoice, form: Form, narrator: Narrator) -> Result<()> {
    let program = match form {
        Form::Shipped => built_statically(choice, narrator).await?,
        Form::Quick => Binaries::find(choice).await?.homeserver,
    };
    let _busy = narrator.busy("making the homeserver's image");
    let context = TempDir::with_prefix("entente-image-").context("cannot make a folder")?;
    let root = context.path().join("root");
    let inside = root.join("entente-homeserver");
    fs::create_dir(&root).context("cannot make a folder")?;
    copy(&program, &inside)?;
    let mut strip = Command::new("strip");
    // An image without symbols is smaller, and as good where there is no such tool.
    let _ = done(strip.arg(&inside)).await;
    let mut clock = None;
    if form == Form::Quick {
        add_libraries(&program, &root).await?;
        clock = fake_clock();
    }
    if let Some(library) = &clock {
        copy_to_same_place(library, &root)?;
        add_libraries(library, &root).await?;
    }
    if Path::new(AUTHORITIES).is_file() {
        copy_to_same_place(Path::new(AUTHORITIES), &root)?;
    }
    lay_out_state(context.path())?;
    copy(
        &source_root()?.join("homeserver/Dockerfile"),
        &context.path().join("Dockerfile"),
    )?;
    build(context.path(), Owner::of_servers().uid, clock.as_deref()).await
}

/// Debian's library that shows a program another time, if it is installed. Only a program that is
/// linked dynamically can be shown one.
#[must_use]
pub fn fake_clock() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten();
    folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.is_file())
}

async fn built_statically(choice: BuildChoice, narrator: Narrator) -> Result<PathBuf> {
    let root = source_root()?;
    let target = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => root.join("target"),
    };
    let program = target.join(TARGET).join(PROFILE).join("entente-homeserver");
    if choice == BuildChoice::Build {
        narrator
            .line("building the homeserver, optimized and linked statically; this takes minutes");
        let _busy = narrator.busy("building the homeserver");
        let libraries = static_libraries(&target).await?;
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(&cargo);
        command
            .args(["rustc", "--locked", "--package", "entente-homeserver"])
            .args(["--bin", "entente-homeserver"])
            .args(["--profile", PROFILE, "--target", TARGET])
            .arg("--manifest-path")
            .arg(root.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            // SQLCipher asks for libcrypto, and takes it from here in the form that lies here.
            .args(["--", "-L"])
            .arg(format!("native={}", libraries.display()))
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true);
        // Cargo tells its progress itself, and a cold build takes longer than any call of Docker.
        let status = command.status().await;
        let status = status.with_context(|| format!("cannot start {}", cargo.display()))?;
        ensure!(
            status.success(),
            "the build failed; `testnet images --quick` makes an image without it, of the program as it \
             is linked dynamically"
        );
    }
    ensure!(
        program.is_file(),
        "{} is not there; leave out --no-build",
        program.display()
    );
    let wants = text(Command::new("ldd").arg(&program)).await;
    // `ldd` fails on a program that is not dynamic, or says so.
    ensure!(
        !wants.is_ok_and(|wants| wants.contains("=>")),
        "{} asks for shared libraries, which the image does not hold",
        program.display()
    );
    Ok(program)
}

/// A folder with the static form of libcrypto alone, so that the linker finds no other.
async fn static_libraries(target: &Path) -> Result<PathBuf> {
    let name = "libcrypto.a";
    let mut compiler = Command::new("cc");
    let told = text(compiler.arg(format!("-print-file-name={name}"))).await?;
    let library = PathBuf::from(told.trim());
    ensure!(
        library.is_file(),
        "{name} is missing; on Debian or Ubuntu: apt-get install libssl-dev"
    );
    let folder = target.join("static-libraries");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let link = folder.join(name);
    if !link.exists() {
        let linked = std::os::unix::fs::symlink(&library, &link);
        linked.with_context(|| format!("cannot link {}", link.display()))?;
    }
    Ok(folder)
}

/// Copies the shared libraries of a program to where they lie outside, the loader included.
async fn add_libraries(program: &Path, root: &Path) -> Result<()> {
    let told = text(Command::new("ldd").arg(program)).await;
    let told = told.context("cannot tell which shared libraries the homeserver wants")?;
    for library in libraries(&told)? {
        copy_to_same_place(&library, root)?;
    }
    Ok(())
}

/// The files that `ldd` names.
fn libraries(told: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in told.lines() {
        ensure!(
            !line.contains("not found"),
            "a library is missing: {}",
            line.trim()
        );
        let path = line.split_whitespace().find(|word| word.starts_with('/'));
        found.extend(path.map(PathBuf::from));
    }
    Ok(found)
}

/// What a new volume of a server begins with: an empty folder that only the server may enter.
fn lay_out_state(context: &Path) -> Result<()> {
    let state = context.join("state");
    fs::create_dir(&state).context("cannot make a folder")?;
    let mut builder = fs::DirBuilder::new();
    let made = builder.mode(0o700).create(state.join("entente"));
    made.context("cannot make a folder")
}

fn copy_to_same_place(file: &Path, root: &Path) -> Result<()> {
    let inside = file.strip_prefix("/").context("the path is absolute")?;
    let inside = root.join(inside);
    let folder = inside.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    copy(file, &inside)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = fs::copy(from, to);
    copied.with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_and_the_libraries_are_found() {
        let told = "\tlinux-vdso.so.1 (0x00007ffc)\n\
                    \tlibcrypto.so.3 => /lib/x86_64-linux-gnu/libcrypto.so.3 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expect = [
            "/lib/x86_64-linux-gnu/libcrypto.so.3",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(told).unwrap(), expect.map(PathBuf::from));
        assert!(libraries("\tlibx.so.1 => not found\n").is_err());
        assert!(libraries("\tstatically linked\n").unwrap().is_empty());
    }
}
