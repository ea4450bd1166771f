//! entente-homeserver
fn main() {}
