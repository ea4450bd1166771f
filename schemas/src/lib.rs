//! entente-schemas
