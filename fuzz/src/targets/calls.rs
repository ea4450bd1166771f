//! Calls: requests and replies of devices and of other servers, after a method's number.

use std::fmt::Debug;

use bytes::BytesMut;
use capnp::message::{Builder, HeapAllocator};
use entente_protocol::call::{ClientRequest, PeerRequest};

use crate::frame::{LENGTH_BYTES, append_message};
use crate::limits::FRAME_MAX_BYTES;
use crate::target::{Target, Verdict};
use crate::wire::Request;

const CHECKS: &str = "What is read is written and read again as the same value.";

pub(super) const CLIENT_REQUESTS: Target = Target {
    name: "client_requests",
    run: request::<ClientRequest>,
    checks: CHECKS,
    smoke_runs: 50_000,
};

pub(super) const CLIENT_REPLIES: Target = Target {
    name: "client_replies",
    run: reply::<ClientRequest>,
    checks: CHECKS,
    smoke_runs: 50_000,
};

pub(super) const PEER_REQUESTS: Target = Target {
    name: "peer_requests",
    run: request::<PeerRequest>,
    checks: CHECKS,
    smoke_runs: 50_000,
};

pub(super) const PEER_REPLIES: Target = Target {
    name: "peer_replies",
    run: reply::<PeerRequest>,
    checks: CHECKS,
    smoke_runs: 50_000,
};

fn request<R: Request + PartialEq + Debug>(input: &[u8]) -> Verdict {
    let Some((method, frame)) = split(input) else {
        return Verdict::Refused;
    };
    let read = R::decode(method, frame);
    match &read {
        Ok(request) => {
            assert_eq!(request.number(), method, "a request is its method's");
            if let Some(written) = message_bytes(&request.encode()) {
                assert_eq!(R::decode(method, &written).as_ref(), Ok(request));
            }
        }
        // What a server answers to such a request.
        Err(fault) => assert!(!fault.to_refusal().detail.is_empty()),
    }
    Verdict::of(&read)
}

fn reply<R: Request>(input: &[u8]) -> Verdict
where
    R::Response: PartialEq + Debug,
{
    let Some((method, frame)) = split(input) else {
        return Verdict::Refused;
    };
    let read = R::decode_reply(method, frame);
    if let Ok(reply) = &read {
        let message = R::encode_reply(method, reply).expect("the reply of this method");
        if let Some(written) = message_bytes(&message) {
            assert_eq!(R::decode_reply(method, &written).as_ref(), Ok(reply));
        }
    }
    Verdict::of(&read)
}

/// The method's number and the message, which is as long as a frame may be.
fn split(input: &[u8]) -> Option<(u16, &[u8])> {
    let (number, frame) = input.split_first_chunk::<2>()?;
    (frame.len() <= FRAME_MAX_BYTES).then_some((u16::from_le_bytes(*number), frame))
}

/// The bytes of a message, unless they are too many for a frame: one that points to the same bytes
/// twice is written with two copies.
pub(super) fn message_bytes(message: &Builder<HeapAllocator>) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    append_message(&mut out, message).ok()?;
    Some(out[LENGTH_BYTES..].to_vec())
}

/// An input of the targets of requests.
///
/// # Panics
/// The message is too long for a frame.
#[must_use]
pub fn request_input<R: Request>(request: &R) -> Vec<u8> {
    let message = message_bytes(&request.encode()).expect("seeds fit a frame");
    [&request.number().to_le_bytes(), &message[..]].concat()
}

/// An input of the targets of replies.
///
/// # Panics
/// The reply is another method's, or too long for a frame.
#[must_use]
pub fn reply_input<R: Request>(method: u16, reply: &R::Response) -> Vec<u8> {
    let message = R::encode_reply(method, reply).expect("the reply of this method");
    let message = message_bytes(&message).expect("seeds fit a frame");
    [&method.to_le_bytes(), &message[..]].concat()
}
