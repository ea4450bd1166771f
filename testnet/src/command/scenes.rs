//! `scene`: plays scenes and tells what they came to.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::args::{Options, Scene};
use crate::narrator::Narrator;
use crate::network::Folder;
use crate::network::binaries::source_root;
use crate::scene::ground::Choice;
use crate::scene::play::play;
use crate::scene::report::Playbill;
use crate::scene::{Report, Script};

/// Where the scenes lie, in the source tree.
const SCENES: &str = "testnet/scenes";

/// Plays the scenes that the command line names. The exit code says whether at least one was played and
/// none failed.
pub async fn run(options: &Options, what: &Scene) -> Result<ExitCode> {
    let narrator = Narrator::new(options.json);
    let scripts = scripts(what)?;
    if what.list {
        for script in &scripts {
            let text = format!("{}  {}", script.name, script.about);
            let line = json!({ "name": script.name, "about": script.about });
            narrator.result(&line, &text);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let choice = Choice::find(what.on, options.build_choice()).await?;
    let mut reports = Vec::new();
    for script in &scripts {
        let report = one(options, what, script, &choice).await?;
        narrator.result(&report, &report.to_string());
        reports.push(report);
    }
    let failed = reports.iter().filter(|report| report.has_failed()).count();
    let passed = reports.iter().filter(|report| report.passed).count();
    let skipped = reports.len() - failed - passed;
    narrator.act(&format!(
        "{passed} passed, {failed} failed, {skipped} skipped"
    ));
    // Who names a scene wants it played; of all, those are played that this ground can play.
    let left_out = !what.names.is_empty() && skipped > 0;
    if failed == 0 && passed > 0 && !left_out {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

/// Plays one scene in a folder of its own.
async fn one(options: &Options, what: &Scene, script: &Script, choice: &Choice) -> Result<Report> {
    let narrator = Narrator::new(options.json);
    let temporary = TempDir::with_prefix("entente-scene-").context("cannot make a folder")?;
    let folder = Folder::at(&temporary.path().join("network"))?;
    let began = Instant::now();
    let played = play(script, choice, what.store, (folder, what.keep), narrator).await;
    let report = played.unwrap_or_else(|error| {
        let bill = Playbill {
            name: script.name.clone(),
            on: choice.name(),
            store: what.store.name(),
        };
        Report::broken(bill, &error, began.elapsed().as_secs_f64())
    });
    if what.keep && report.has_failed() {
        let _path: PathBuf = temporary.keep();
    }
    Ok(report)
}

/// All scripts are read before the first one is played.
fn scripts(what: &Scene) -> Result<Vec<Script>> {
    let folder = source_root()?.join(SCENES);
    let files = if what.all || what.names.is_empty() {
        all(&folder)?
    } else {
        let names = what.names.iter();
        names
            .map(|name| file(&folder, name))
            .collect::<Result<_>>()?
    };
    let scripts = files.iter().map(|file| Ok(Script::load(file)?));
    scripts.collect()
}

fn all(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder);
    let entries = entries.with_context(|| format!("cannot look into {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    ensure!(
        !files.is_empty(),
        "there is no scene in {}",
        folder.display()
    );
    Ok(files)
}

/// A name of one of ours, or the path of somebody's.
fn file(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.extension().is_some_and(|ending| ending == "toml") {
        return Ok(path);
    }
    let ours = folder.join(format!("{name}.toml"));
    if ours.is_file() {
        return Ok(ours);
    }
    let known = all(folder)?;
    let known = known.iter().filter_map(|file| file.file_stem()?.to_str());
    let known: Vec<&str> = known.collect();
    bail!(
        "there is no scene {name}; there are {}; or name a file that ends in .toml",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scenes_can_be_read() {
        let folder = source_root().unwrap().join(SCENES);
        let files = all(&folder).unwrap();
        assert!(files.len() >= 8, "{files:?}");
        for path in files {
            let script = Script::load(&path).unwrap();
            assert!(!script.about.is_empty());
            assert_eq!(file(&folder, &script.name).unwrap(), path);
        }
        let text = file(&folder, "no-such-scene").unwrap_err().to_string();
        assert!(text.contains("first-contact"), "{text}");
    }
}
