//! The committed code is what the generator makes of the schemas.

mod generator;

use std::process::Command;

#[test]
fn generated_code_matches_the_schemas() {
    if Command::new("capnp").arg("--version").output().is_err() {
        println!("skipped: the capnp tool is not installed on this machine");
        return;
    }
    let fresh = tempfile::tempdir().expect("a temporary folder");
    generator::generate_into(fresh.path()).expect("the schemas compile");
    for schema in generator::SCHEMAS {
        let name = format!("{schema}_capnp.rs");
        let read = |path| std::fs::read_to_string(path).expect("generated code is readable");
        let committed = read(generator::folder().join("src").join(&name));
        assert!(
            committed == read(fresh.path().join(&name)),
            "{name} differs: run `cargo run -p entente-schemas --no-default-features --example regenerate`"
        );
    }
}

/// A schema that nobody generates would silently stay out of the crate.
#[test]
fn every_schema_is_generated() {
    let files = std::fs::read_dir(generator::folder()).expect("the folder is readable");
    let mut found: Vec<String> = files
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".capnp")?.to_owned()))
        .collect();
    found.sort();
    assert_eq!(found, generator::SCHEMAS);
}
