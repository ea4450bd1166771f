//! entente-cli
fn main() {}
