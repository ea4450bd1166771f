//! Files of the operator: the configuration, the host table.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use crate::config::{Config, Origin};
use crate::host_table::HostTable;
use crate::input::text;
use crate::target::{Target, Verdict};

pub(super) const CONFIG_FILES: Target = Target {
    name: "config_files",
    run: config_files,
    checks: "Every fault of a configuration stands at a place inside of the file.",
    smoke_runs: 3_000,
};

pub(super) const HOST_TABLES: Target = Target {
    name: "host_tables",
    run: host_tables,
    checks: "A table has at most one host for each line that is no comment.",
    smoke_runs: 40_000,
};

fn config_files(input: &[u8]) -> Verdict {
    let Some(text) = text(input) else {
        return Verdict::Refused;
    };
    let read = Config::parse(Some((Path::new("entente.toml"), text)), BTreeMap::new());
    match &read {
        Ok(config) => assert!(!config.public_host().as_str().is_empty()),
        Err(faults) => {
            assert!(!faults.0.is_empty(), "a refusal has a reason");
            for fault in &faults.0 {
                if let Origin::File { line, column, .. } = &fault.origin {
                    let at = text
                        .split('\n')
                        .nth(line - 1)
                        .unwrap_or_else(|| panic!("{fault}"));
                    assert!(*column <= at.chars().count() + 1, "{fault}");
                }
            }
        }
    }
    Verdict::of(&read)
}

fn host_tables(input: &[u8]) -> Verdict {
    let Some(text) = text(input) else {
        return Verdict::Refused;
    };
    let read = HostTable::parse(Path::new("hosts"), text);
    if let Ok(table) = &read {
        let lines = text.lines().map(|line| line.split('#').next());
        let entries = lines.flatten().filter(|line| !line.trim().is_empty());
        let entries: Vec<&str> = entries.collect();
        let names = entries
            .iter()
            .filter_map(|entry| entry.split_whitespace().next());
        let names: BTreeSet<&str> = names.collect();
        assert_eq!(table.len(), names.len());
        let places = names
            .iter()
            .filter_map(|name| table.hosts(&name.parse().ok()?));
        let places: usize = places.map(<[_]>::len).sum();
        assert_eq!(places, entries.len(), "each line is a place");
    }
    Verdict::of(&read)
}
