//! Finds out where an organization is and what it publishes.
