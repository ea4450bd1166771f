//! entente-homeserver-core
