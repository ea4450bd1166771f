//! entente-homeserver-ops
