//! entente-protocol
