//! The chart of the house: every crate, its family, and what it may depend on.
//!
//! This is the table form of "Who may depend on whom" in `ARCHITECTURE.md`; the two change together.
//! How to add a crate: one [`Room`] here, and one line in the architecture's overview.

/// What a crate may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Types and verification: no time, no I/O.
    Words,
    /// Pure functions of state, command and now.
    Rules,
    /// Where pure meets impure: the four beats, free of any async runtime.
    Seam,
    /// Sockets, databases, tasks, terminals.
    Hands,
    /// Development tools, part of no product.
    Tool,
}

impl Family {
    /// Words and rules: time is an argument, randomness a parameter.
    #[must_use]
    pub fn is_pure(self) -> bool {
        matches!(self, Self::Words | Self::Rules)
    }
}

/// One crate of the workspace.
#[derive(Debug)]
pub struct Room {
    /// The package's name.
    pub package: &'static str,
    /// Its folder, relative to the workspace root.
    pub folder: &'static str,
    /// What it may touch.
    pub family: Family,
    /// The workspace crates that it may name as dependencies.
    pub may_use: &'static [&'static str],
}

const IDENTITY: &str = "entente-identity";
const GROUPS: &str = "entente-groups";
const PROTOCOL: &str = "entente-protocol";
const SCHEMAS: &str = "entente-schemas";
const FEDERATION: &str = "entente-federation";
const HOMESERVER_CORE: &str = "entente-homeserver-core";
const HOMESERVER_OPS: &str = "entente-homeserver-ops";
const STORE_SQLITE: &str = "entente-store-sqlite";
const STORE_POSTGRES: &str = "entente-homeserver-store-postgres";
const TESTNET_MACHINE: &str = "entente-testnet-machine";
const TESTNET_POSTGRES: &str = "entente-testnet-postgres";
const TRANSPORT: &str = "entente-transport";
const DISCOVERY: &str = "entente-discovery";
const CLIENT_CORE: &str = "entente-client-core";
const VAULT: &str = "entente-vault";
const SDK: &str = "entente-sdk";

/// What a store may use: the seam it implements and the words and rules that the seam speaks in.
const STORE: &[&str] = &[
    IDENTITY,
    GROUPS,
    PROTOCOL,
    FEDERATION,
    HOMESERVER_CORE,
    HOMESERVER_OPS,
];

/// Every crate of the workspace, bottom up.
pub const ROOMS: &[Room] = &[
    Room {
        package: SCHEMAS,
        folder: "schemas",
        family: Family::Words,
        may_use: &[],
    },
    Room {
        package: IDENTITY,
        folder: "identity",
        family: Family::Words,
        may_use: &[],
    },
    Room {
        package: GROUPS,
        folder: "groups",
        family: Family::Words,
        may_use: &[IDENTITY],
    },
    Room {
        package: PROTOCOL,
        folder: "protocol",
        family: Family::Words,
        may_use: &[IDENTITY, GROUPS],
    },
    Room {
        package: FEDERATION,
        folder: "federation",
        family: Family::Rules,
        may_use: &[IDENTITY, GROUPS, PROTOCOL],
    },
    Room {
        package: HOMESERVER_CORE,
        folder: "homeserver/core",
        family: Family::Rules,
        may_use: &[IDENTITY, GROUPS, PROTOCOL, FEDERATION],
    },
    Room {
        package: CLIENT_CORE,
        folder: "client/core",
        family: Family::Rules,
        may_use: &[IDENTITY, GROUPS, PROTOCOL],
    },
    Room {
        package: HOMESERVER_OPS,
        folder: "homeserver/ops",
        family: Family::Seam,
        may_use: &[IDENTITY, GROUPS, PROTOCOL, FEDERATION, HOMESERVER_CORE],
    },
    Room {
        package: VAULT,
        folder: "client/vault",
        family: Family::Seam,
        may_use: &[IDENTITY, GROUPS, PROTOCOL, CLIENT_CORE],
    },
    Room {
        package: STORE_SQLITE,
        folder: "homeserver/store-sqlite",
        family: Family::Hands,
        may_use: STORE,
    },
    Room {
        package: STORE_POSTGRES,
        folder: "homeserver/store-postgres",
        family: Family::Hands,
        may_use: STORE,
    },
    Room {
        package: TRANSPORT,
        folder: "transport",
        family: Family::Hands,
        may_use: &[IDENTITY, GROUPS, PROTOCOL, SCHEMAS],
    },
    Room {
        package: DISCOVERY,
        folder: "discovery",
        family: Family::Hands,
        may_use: &[IDENTITY, PROTOCOL],
    },
    Room {
        package: SDK,
        folder: "client/sdk",
        family: Family::Hands,
        may_use: &[
            IDENTITY,
            GROUPS,
            PROTOCOL,
            CLIENT_CORE,
            VAULT,
            TRANSPORT,
            DISCOVERY,
        ],
    },
    Room {
        package: "entente-cli",
        folder: "client-cli",
        family: Family::Hands,
        may_use: &[IDENTITY, GROUPS, PROTOCOL, SDK],
    },
    Room {
        package: "entente-homeserver",
        folder: "homeserver/node",
        family: Family::Hands,
        may_use: &[
            IDENTITY,
            GROUPS,
            PROTOCOL,
            FEDERATION,
            HOMESERVER_CORE,
            HOMESERVER_OPS,
            STORE_SQLITE,
            STORE_POSTGRES,
            TRANSPORT,
            DISCOVERY,
        ],
    },
    Room {
        package: TESTNET_MACHINE,
        folder: "testnet/machine",
        family: Family::Tool,
        may_use: &[],
    },
    Room {
        package: TESTNET_POSTGRES,
        folder: "testnet/postgres",
        family: Family::Tool,
        may_use: &[],
    },
    Room {
        package: "testnet",
        folder: "testnet",
        family: Family::Hands,
        may_use: &[
            IDENTITY,
            GROUPS,
            PROTOCOL,
            FEDERATION,
            HOMESERVER_CORE,
            HOMESERVER_OPS,
            CLIENT_CORE,
            VAULT,
            SDK,
            TRANSPORT,
            DISCOVERY,
            TESTNET_MACHINE,
            TESTNET_POSTGRES,
        ],
    },
    Room {
        package: "entente-hostile",
        folder: "testnet/hostile",
        family: Family::Tool,
        may_use: &[IDENTITY, GROUPS, PROTOCOL, SCHEMAS, TRANSPORT, "testnet"],
    },
    Room {
        package: "entente-fuzz",
        folder: "fuzz",
        family: Family::Tool,
        may_use: &[
            IDENTITY,
            GROUPS,
            PROTOCOL,
            SCHEMAS,
            CLIENT_CORE,
            FEDERATION,
            STORE_POSTGRES,
        ],
    },
    Room {
        package: "entente-tidy",
        folder: "tidy",
        family: Family::Tool,
        may_use: &[],
    },
];

/// Crates of others that reach for the world: no word or rule leads to them, however far.
pub const WORLDLY: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "mio",
    "quinn",
    "quinn-proto",
    "capnp",
    "rusqlite",
    "libsqlite3-sys",
    "tokio-postgres",
    "reqwest",
    "hyper",
    "axum",
    "tower",
    "rustls",
];

/// A heavy dependency and the only crates that may name it.
#[derive(Debug)]
pub struct Owned {
    /// The dependency; a trailing `*` stands for every ending.
    pub dependency: &'static str,
    /// The packages that may name it.
    pub owners: &'static [&'static str],
}

/// Heavy dependencies stay behind one crate each, so that exchanging one touches one crate.
pub const OWNED: &[Owned] = &[
    Owned {
        dependency: "openmls*",
        owners: &[GROUPS],
    },
    Owned {
        dependency: "quinn*",
        owners: &[TRANSPORT, "entente-hostile"],
    },
    Owned {
        dependency: "capnp*",
        owners: &[SCHEMAS, TRANSPORT, "entente-fuzz", "entente-hostile"],
    },
    Owned {
        dependency: "rusqlite",
        // The testnet looks into the databases of its servers, read-only, for what must not be there.
        owners: &[STORE_SQLITE, VAULT, "testnet", "entente-hostile"],
    },
    Owned {
        dependency: "libsqlite3-sys",
        owners: &[],
    },
    Owned {
        dependency: "tokio-postgres",
        owners: &[STORE_POSTGRES],
    },
    Owned {
        dependency: "deadpool-postgres",
        owners: &[STORE_POSTGRES],
    },
    Owned {
        dependency: "refinery*",
        owners: &[STORE_POSTGRES],
    },
    Owned {
        dependency: "reqwest",
        owners: &["entente-homeserver"],
    },
    Owned {
        dependency: "axum*",
        owners: &["entente-homeserver"],
    },
    Owned {
        dependency: "ssi-*",
        owners: &[IDENTITY],
    },
    Owned {
        dependency: "did-*",
        owners: &[IDENTITY],
    },
    Owned {
        dependency: "clap*",
        owners: &[
            "entente-cli",
            "entente-homeserver",
            "testnet",
            "entente-hostile",
        ],
    },
];

/// The room of a package.
#[must_use]
pub fn room_of_package(package: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.package == package)
}

/// The room whose folder holds a file, given relative to the workspace root.
#[must_use]
pub fn room_of_file(file: &std::path::Path) -> Option<&'static Room> {
    let holding = ROOMS.iter().filter(|room| file.starts_with(room.folder));
    holding.max_by_key(|room| room.folder.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_down_only() {
        for (index, room) in ROOMS.iter().enumerate() {
            for used in room.may_use {
                let position = ROOMS.iter().position(|other| other.package == *used);
                assert!(
                    position.is_some_and(|p| p < index),
                    "{} uses {used}",
                    room.package
                );
            }
        }
    }
}
