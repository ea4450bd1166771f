//! entente-vault
