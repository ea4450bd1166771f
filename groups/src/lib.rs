//! entente-groups
