//! The first four bytes of a stream.

use crate::stream::StreamFault;

const CALL: u8 = 1;
const FLOW: u8 = 2;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// One request, one answer.
    Call { method: u16 },
    /// Frames in both directions for as long as both sides like.
    Flow { kind: u16 },
}

impl Opening {
    pub(crate) fn bytes(self) -> [u8; 4] {
        let (tag, number) = match self {
            Self::Call { method } => (CALL, method),
            Self::Flow { kind } => (FLOW, kind),
        };
        let [low, high] = number.to_le_bytes();
        [tag, 0, low, high]
    }

    pub(crate) fn parse(bytes: [u8; 4]) -> Result<Self, StreamFault> {
        let [tag, reserved, low, high] = bytes;
        let number = u16::from_le_bytes([low, high]);
        match (tag, reserved) {
            (CALL, 0) => Ok(Self::Call { method: number }),
            (FLOW, 0) => Ok(Self::Flow { kind: number }),
            _ => Err(StreamFault::UnknownOpening(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_parse_back_and_others_are_refused() {
        for opening in [Opening::Call { method: 0x0102 }, Opening::Flow { kind: 3 }] {
            assert_eq!(Opening::parse(opening.bytes()), Ok(opening));
        }
        assert_eq!(Opening::Call { method: 0x0102 }.bytes(), [1, 0, 2, 1]);
        for bytes in [[0, 0, 0, 0], [3, 0, 0, 0], [1, 1, 0, 0]] {
            assert_eq!(
                Opening::parse(bytes),
                Err(StreamFault::UnknownOpening(bytes))
            );
        }
    }
}
