//! Where seeds go: corpus files by target, and the shelves of the fixture.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use entente_fuzz::{Shelf, TARGETS};
use entente_identity::encode;

/// Most files of one corpus.
const MAX_FILES: usize = 40;
/// Most bytes of one corpus.
const MAX_BYTES: usize = 200_000;

/// How the names of the files begin that are written here.
const KINDS: [&str; 3] = ["genuine-", "hostile-", "odd-"];

/// Everything that will be written.
#[derive(Default)]
pub struct Store {
    seeds: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    shelves: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Store {
    /// An input that its target must accept, and may compare others with.
    pub fn genuine(&mut self, target: &str, name: &str, input: Vec<u8>) {
        self.shelve(&format!("genuine/{target}"), input.clone());
        self.accepted(target, name, input);
    }

    /// An input that its target must accept.
    pub fn accepted(&mut self, target: &str, name: &str, input: Vec<u8>) {
        self.add(target, format!("genuine-{name}"), input);
    }

    /// An input that its target must refuse, of one line of the list of adversaries.
    pub fn hostile(&mut self, target: &str, line: &str, name: &str, input: Vec<u8>) {
        self.add(target, format!("hostile-{line}-{name}"), input);
    }

    /// An input that is strange and does no harm, whatever its target says.
    pub fn odd(&mut self, target: &str, name: &str, input: Vec<u8>) {
        self.add(target, format!("odd-{name}"), input);
    }

    fn add(&mut self, target: &str, name: String, input: Vec<u8>) {
        assert!(TARGETS.iter().any(|known| known.name == target), "{target}");
        let seeds = self.seeds.entry(target.to_owned()).or_default();
        let twice = seeds.insert(name.clone(), input);
        assert!(twice.is_none(), "{target}/{name} is there twice");
    }

    /// Something that targets compare with.
    pub fn shelve(&mut self, name: &str, item: Vec<u8>) {
        self.shelves.entry(name.to_owned()).or_default().push(item);
    }

    /// Replaces the files of the corpora and the fixture.
    pub fn write(self) -> std::io::Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for target in TARGETS {
            let seeds = self.seeds.get(target.name);
            let seeds = seeds.unwrap_or_else(|| panic!("{} has no seeds", target.name));
            let bytes: usize = seeds.values().map(Vec::len).sum();
            println!("{}: {} files, {bytes} bytes", target.name, seeds.len());
            assert!(
                seeds.len() <= MAX_FILES && bytes <= MAX_BYTES,
                "{}",
                target.name
            );
            let folder = root.join("corpus").join(target.name);
            fs::create_dir_all(&folder)?;
            for file in fs::read_dir(&folder)? {
                let file = file?;
                let name = file.file_name().to_string_lossy().into_owned();
                if KINDS.iter().any(|kind| name.starts_with(kind)) {
                    fs::remove_file(file.path())?;
                }
            }
            for (name, input) in seeds {
                fs::write(folder.join(name), input)?;
            }
        }
        let shelves: Vec<Shelf> = self.shelves.into_iter().map(shelf).collect();
        let fixture = encode(&shelves);
        println!("fixture: {} bytes", fixture.len());
        fs::write(root.join("fixtures").join("world.bin"), fixture)
    }
}

fn shelf((name, items): (String, Vec<Vec<u8>>)) -> Shelf {
    Shelf {
        name: name.as_bytes().into(),
        items: items.iter().map(|item| item.as_slice().into()).collect(),
    }
}
