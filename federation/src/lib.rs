//! entente-federation
