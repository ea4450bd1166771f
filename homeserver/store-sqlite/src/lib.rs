//! entente-store-sqlite
