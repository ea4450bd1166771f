//! entente-client-core
