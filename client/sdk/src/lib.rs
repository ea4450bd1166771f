//! entente-sdk
