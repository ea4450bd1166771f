//! Who may depend on whom, judged over cargo's own view of the workspace.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package};

use crate::chart::{Family, OWNED, Owned, Room, WORLDLY, room_of_package};
use crate::house::House;
use crate::violation::Violation;

/// What a seam never reaches: it is synchronous or free of any runtime, and knows no wire.
const BEYOND_A_SEAM: &[&str] = &["tokio", "quinn", "capnp", "reqwest", "hyper", "axum"];

/// Generated code follows its generator, so this crate lists the lints that still count.
const OWN_LINTS: &str = "entente-schemas";

/// The workspace as cargo resolves it.
pub struct Arrows<'house> {
    house: &'house House,
    metadata: Metadata,
}

impl<'house> Arrows<'house> {
    /// Asks cargo, for the machine that the test runs on, without touching the lock file.
    ///
    /// # Panics
    /// When cargo refuses, for instance because the lock file is not up to date.
    #[must_use]
    pub fn of(house: &'house House) -> Self {
        let metadata = MetadataCommand::new()
            .manifest_path(house.root().join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            .other_options(vec![
                "--locked".to_owned(),
                "--filter-platform".to_owned(),
                host_triple(),
            ])
            .exec()
            .unwrap_or_else(|error| panic!("cargo metadata refused: {error}"));
        Self { house, metadata }
    }

    /// Crates that the chart does not know, or knows at another place.
    #[must_use]
    pub fn uncharted(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for package in self.metadata.workspace_packages() {
            let folder = self.folder(package);
            let charted =
                room_of_package(&package.name).is_some_and(|room| Path::new(room.folder) == folder);
            if !charted {
                found.push(Violation::new(
                    &folder.join("Cargo.toml"),
                    1,
                    format!("{} is not on the chart at this place", package.name),
                    "add it to tidy/src/chart.rs and to the architecture's overview",
                ));
            }
        }
        found
    }

    /// Dependencies between our own crates that do not point down. Tests of a pure crate stay pure;
    /// tests of the others may use whom they like.
    #[must_use]
    pub fn upward(&self) -> Vec<Violation> {
        let own: BTreeSet<&str> = self
            .metadata
            .workspace_packages()
            .iter()
            .map(|p| p.name.as_str())
            .collect();
        let mut found = Vec::new();
        for (package, room) in self.charted() {
            for dependency in &package.dependencies {
                let name = dependency.name.as_str();
                if own.contains(name) && points_up(room, name, dependency.kind) {
                    found.push(self.at(
                        package,
                        name,
                        format!("{} may not depend on {name}", package.name),
                        "speak to the upper layer by a return value, or move the type down",
                    ));
                }
            }
        }
        found
    }

    /// Heavy dependencies that a crate names without owning them.
    #[must_use]
    pub fn not_owned(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (package, room) in self.charted() {
            for dependency in &package.dependencies {
                let name = dependency.name.as_str();
                if let Some(owned) = anothers(room, name, dependency.kind) {
                    let what = format!("only {:?} may name {name}", owned.owners);
                    let remedy = "ask the owner for what you need from it";
                    found.push(self.at(package, name, what, remedy));
                }
            }
        }
        found
    }

    /// Ways by which words, rules and seams reach a runtime, a wire or a database.
    #[must_use]
    pub fn worldly(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (package, room) in self.charted() {
            let forbidden = forbidden_to(room);
            if forbidden.is_empty() {
                continue;
            }
            for way in ways_to(&forbidden, &self.tree(package)) {
                let first = way.get(1).map_or("", String::as_str);
                let what = format!("a forbidden way: {}", way.join(" -> "));
                let remedy =
                    "switch off the feature that pulls it in, or leave the dependency to a hand";
                found.push(self.at(package, first, what, remedy));
            }
        }
        found
    }

    /// Manifests that do not take over the workspace's lints, or that could be published.
    #[must_use]
    pub fn unruly_manifests(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for package in self.metadata.workspace_packages() {
            let manifest = self.folder(package).join("Cargo.toml");
            let text = self.house.text(&manifest).unwrap_or_default();
            let lints = if package.name.as_str() == OWN_LINTS {
                "unsafe_code=\"forbid\""
            } else {
                "[lints]\nworkspace=true"
            };
            let compact = text.replace([' ', '\r'], "");
            for line in [lints, "license.workspace=true", "publish.workspace=true"] {
                if !compact.contains(line) {
                    let what = format!("`{}` is missing", line.replace('\n', " "));
                    found.push(Violation::new(
                        &manifest,
                        1,
                        what,
                        "inherit it from the workspace",
                    ));
                }
            }
        }
        found
    }

    fn charted(&self) -> Vec<(&Package, &'static Room)> {
        self.metadata
            .workspace_packages()
            .into_iter()
            .filter_map(|package| room_of_package(&package.name).map(|room| (package, room)))
            .collect()
    }

    /// What is compiled into a package alone, each line with its depth in front. `cargo metadata`
    /// would not do: it also lists weak dependencies that no feature switches on.
    fn tree(&self, package: &Package) -> String {
        let output = Command::new(cargo())
            .current_dir(self.house.root())
            .args(["tree", "--locked", "--all-features", "--prefix", "depth"])
            .args([
                "--edges",
                "normal,no-proc-macro",
                "--package",
                &package.name,
            ])
            .output()
            .unwrap_or_else(|error| panic!("cannot run cargo tree: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo tree refused: {complaint}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn folder(&self, package: &Package) -> PathBuf {
        let manifest = package.manifest_path.as_std_path();
        let folder = manifest.parent().unwrap_or(manifest);
        let root = self.metadata.workspace_root.as_std_path();
        folder.strip_prefix(root).unwrap_or(folder).to_owned()
    }

    /// A violation at the manifest line that names a dependency.
    fn at(&self, package: &Package, dependency: &str, what: String, remedy: &str) -> Violation {
        let manifest = self.folder(package).join("Cargo.toml");
        let text = self.house.text(&manifest).unwrap_or_default();
        let line = text
            .lines()
            .position(|line| names_dependency(line, dependency));
        Violation::new(&manifest, line.map_or(1, |index| index + 1), what, remedy)
    }
}

/// Whether a crate may not depend on another one of ours. Tests of a pure crate use pure crates
/// only; those of the others use whom they like.
fn points_up(room: &Room, dependency: &str, kind: DependencyKind) -> bool {
    let is_pure = |package: &str| room_of_package(package).is_some_and(|r| r.family.is_pure());
    let for_tests = kind == DependencyKind::Development;
    let fine_in_tests = for_tests && (!room.family.is_pure() || is_pure(dependency));
    !fine_in_tests && !room.may_use.contains(&dependency)
}

/// The ownership that a crate breaks by naming a dependency.
fn anothers(room: &Room, dependency: &str, kind: DependencyKind) -> Option<&'static Owned> {
    if kind == DependencyKind::Development && !room.family.is_pure() {
        return None;
    }
    let owned = OWNED
        .iter()
        .find(|owned| matches(owned.dependency, dependency))?;
    (!owned.owners.contains(&room.package)).then_some(owned)
}

fn forbidden_to(room: &Room) -> Vec<&'static str> {
    let owns_capnp = |name: &&str| room.package == "entente-schemas" && *name == "capnp";
    match room.family {
        Family::Words | Family::Rules => WORLDLY
            .iter()
            .copied()
            .filter(|name| !owns_capnp(name))
            .collect(),
        Family::Seam => BEYOND_A_SEAM.to_vec(),
        Family::Hands | Family::Tool => Vec::new(),
    }
}

/// For each forbidden package in a tree with depths, the way to it from the tree's root, given from
/// the root on.
fn ways_to(forbidden: &[&str], tree: &str) -> Vec<Vec<String>> {
    let mut way: Vec<String> = Vec::new();
    let mut found: Vec<Vec<String>> = Vec::new();
    for line in tree.lines() {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (depth, rest) = line.split_at(digits);
        let Ok(depth) = depth.parse::<usize>() else {
            continue;
        };
        let name = rest.split(' ').next().unwrap_or(rest);
        way.truncate(depth);
        way.push(name.to_owned());
        let known = found.iter().any(|other| other.last() == way.last());
        if forbidden.contains(&name) && !known {
            found.push(way.clone());
        }
    }
    found
}

fn names_dependency(line: &str, dependency: &str) -> bool {
    line.strip_prefix(dependency)
        .is_some_and(|rest| rest.starts_with([' ', '.', '=']))
}

/// A pattern with a trailing `*` stands for every ending.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn host_triple() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .unwrap_or_else(|error| panic!("cannot run rustc: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap_or_else(|| panic!("rustc -vV names no host: {text}"))
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: DependencyKind = DependencyKind::Normal;
    const TESTS: DependencyKind = DependencyKind::Development;

    fn room(package: &str) -> &'static Room {
        room_of_package(package).expect("the test names a crate of the chart")
    }

    #[test]
    fn an_arrow_that_points_up_is_seen() {
        let (core, sdk) = (room("entente-homeserver-core"), room("entente-sdk"));
        assert!(!points_up(core, "entente-federation", NORMAL));
        assert!(points_up(core, "entente-homeserver-ops", NORMAL));
        assert!(points_up(core, "entente-store-sqlite", TESTS));
        assert!(!points_up(core, "entente-client-core", TESTS));
        assert!(points_up(sdk, "entente-homeserver", NORMAL));
        assert!(!points_up(sdk, "entente-homeserver", TESTS));
    }

    #[test]
    fn naming_what_another_crate_owns_is_seen() {
        let (groups, sdk) = (room("entente-groups"), room("entente-sdk"));
        assert!(anothers(groups, "openmls_traits", NORMAL).is_none());
        assert!(anothers(sdk, "openmls", NORMAL).is_some());
        assert!(anothers(sdk, "openmls", TESTS).is_none());
        assert!(anothers(groups, "reqwest", TESTS).is_some());
    }

    #[test]
    fn the_way_to_a_forbidden_package_is_told() {
        let tree = "0rules v1 (/x)\n1words v1\n2bytes v1\n1lib v2\n2tokio v1\n1tokio v1 (*)\n";
        assert_eq!(
            ways_to(&["tokio", "axum"], tree),
            [["rules", "lib", "tokio"]]
        );
    }

    #[test]
    fn a_star_stands_for_every_ending() {
        assert!(matches("openmls*", "openmls_traits") && matches("reqwest", "reqwest"));
        assert!(!matches("reqwest", "reqwest-middleware"));
    }

    #[test]
    fn a_dependency_is_found_by_its_whole_name() {
        assert!(names_dependency("quinn.workspace = true", "quinn"));
        assert!(!names_dependency("quinn-proto = \"1\"", "quinn"));
    }
}
