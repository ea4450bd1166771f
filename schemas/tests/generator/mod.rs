//! Runs the generator on every schema; shared by the example that writes and the test that compares.

use std::path::{Path, PathBuf};

/// The schemas, without their ending.
pub const SCHEMAS: [&str; 4] = ["calls", "federation", "flows", "words"];

/// Where the schemas are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Generates the code of all schemas into a folder.
pub fn generate_into(target: &Path) -> capnp::Result<()> {
    let mut command = capnpc::CompilerCommand::new();
    command.src_prefix(folder()).output_path(target);
    for schema in SCHEMAS {
        command.file(folder().join(format!("{schema}.capnp")));
    }
    command.run()
}
