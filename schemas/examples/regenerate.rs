//! Writes the Rust code of all schemas into `src`. Needs the `capnp` tool.

#[path = "../tests/generator/mod.rs"]
mod generator;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    generator::generate_into(&generator::folder().join("src"))?;
    Ok(())
}
