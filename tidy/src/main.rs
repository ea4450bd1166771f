//! Prints the sizes of files and functions: `cargo run -p entente-tidy`.

use entente_tidy::{House, sizes};

fn main() {
    let house = House::open();
    print!("{}", sizes::report(house.rust_files()));
}
