//! What two servers settle before anything else: version and critical features.

use entente_protocol::hello::{Feature, PROTOCOL_VERSION};

/// Features of this software. None exist yet; a later one is listed here by number.
pub const FEATURES: &[Feature] = &[];

/// Why two servers cannot talk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingFault {
    /// No common version.
    #[error(
        "the peer speaks protocol versions {min} to {max}, this server speaks {PROTOCOL_VERSION}; one of them needs an upgrade"
    )]
    Version {
        /// The peer's oldest.
        min: u16,
        /// The peer's newest.
        max: u16,
    },
    /// The peer insists on something unknown here.
    #[error("the peer needs feature {0}, which this server does not have; upgrade this server")]
    Feature(u16),
}

/// Chooses the version to speak.
///
/// # Errors
/// No common version.
pub fn choose_version(min: u16, max: u16) -> Result<u16, GreetingFault> {
    if min <= PROTOCOL_VERSION && PROTOCOL_VERSION <= max {
        Ok(PROTOCOL_VERSION)
    } else {
        Err(GreetingFault::Version { min, max })
    }
}

/// Checks that every critical feature of the peer is known here; others are ignored.
///
/// # Errors
/// The first that is not.
pub fn check_features(features: &[Feature]) -> Result<(), GreetingFault> {
    let known = |id: u16| FEATURES.iter().any(|feature| feature.id == id);
    match features.iter().find(|f| f.critical != 0 && !known(f.id)) {
        Some(feature) => Err(GreetingFault::Feature(feature.id)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_must_overlap_and_critical_features_be_known() {
        assert_eq!(choose_version(1, 3), Ok(1));
        assert!(choose_version(2, 3).is_err());
        let feature = |critical| Feature { id: 900, critical };
        assert_eq!(check_features(&[feature(0)]), Ok(()));
        assert_eq!(
            check_features(&[feature(0), feature(1)]),
            Err(GreetingFault::Feature(900))
        );
    }
}
