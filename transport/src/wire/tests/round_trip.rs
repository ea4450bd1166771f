//! What is written reads back as it was, whatever it is.

use std::fmt::Debug;

use entente_identity::encode as tls_encode;
use entente_protocol::call::{ClientRequest, PeerRequest};
use entente_protocol::fault::Fault;
use entente_protocol::flow::SyncEvent;
use proptest::prelude::*;

use super::{arbitrary, frame};
use crate::wire::{Method, Root, decode, encode, encode_entries};

fn check<T: Root + PartialEq + Debug>(value: &T) -> Result<(), TestCaseError> {
    let bytes = frame(&encode(value));
    let read = decode::<T>(&bytes);
    prop_assert_eq!(read.as_ref(), Ok(value));
    // The estimate was right: one segment, so one copy.
    prop_assert_eq!(bytes[..4].to_vec(), vec![0; 4]);
    Ok(())
}

fn check_request<R: Method + PartialEq + Debug>(request: &R) -> Result<(), TestCaseError> {
    let bytes = frame(&request.encode());
    let read = R::decode(request.number(), &bytes);
    prop_assert_eq!(read.as_ref(), Ok(request));
    prop_assert_eq!(bytes[..4].to_vec(), vec![0; 4]);
    Ok(())
}

fn check_reply<R: Method>(method: u16, reply: &R::Response) -> Result<(), TestCaseError>
where
    R::Response: PartialEq + Debug,
{
    let message = R::encode_reply(method, reply).expect("the method's reply");
    let bytes = frame(&message);
    let read = R::decode_reply(method, &bytes);
    prop_assert_eq!(read.as_ref(), Ok(reply));
    prop_assert_eq!(bytes[..4].to_vec(), vec![0; 4]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn client_requests(request in arbitrary::client_request()) {
        check_request(&request)?;
    }

    #[test]
    fn client_replies((method, reply) in arbitrary::client_reply()) {
        check_reply::<ClientRequest>(method, &reply)?;
    }

    #[test]
    fn peer_requests(request in arbitrary::peer_request()) {
        check_request(&request)?;
    }

    #[test]
    fn peer_replies((method, reply) in arbitrary::peer_reply()) {
        check_reply::<PeerRequest>(method, &reply)?;
    }

    #[test]
    fn faults(fault in arbitrary::fault()) {
        check(&fault)?;
    }

    #[test]
    fn submit_flow(frame in arbitrary::submit_frame(), reply in arbitrary::submit_reply()) {
        check(&frame)?;
        check(&reply)?;
    }

    #[test]
    fn sync_flow(request in arbitrary::sync_request(), event in arbitrary::sync_event()) {
        check(&request)?;
        check(&event)?;
    }

    #[test]
    fn relay_flow(batch in arbitrary::batch(), reply in arbitrary::relay_reply()) {
        check(&batch)?;
        check(&reply)?;
    }

    #[test]
    fn stored_entries_make_the_same_message(event in arbitrary::sync_event()) {
        if let SyncEvent::Entries { room, hub, entries } = &event {
            let stored: Vec<Vec<u8>> = entries.iter().map(tls_encode).collect();
            prop_assert_eq!(
                frame(&encode_entries(*room, hub, &stored)),
                frame(&encode(&event))
            );
        }
    }

    #[test]
    fn a_reply_of_another_method_is_not_written(
        (method, reply) in arbitrary::client_reply(),
        (other, _) in arbitrary::client_reply(),
    ) {
        if let Some(message) = ClientRequest::encode_reply(other, &reply) {
            let bytes = frame(&message);
            prop_assert_eq!(ClientRequest::decode_reply(other, &bytes), Ok(reply));
        } else {
            prop_assert_ne!(method, other);
        }
    }
}

#[test]
fn a_long_fault_is_cut_at_a_character() {
    let detail = "ä".repeat(1000);
    let fault = Fault::new(entente_protocol::fault::FaultCode::Busy, detail);
    let read: Fault = decode(&frame(&encode(&fault))).expect("readable");
    assert_eq!(read.detail, "ä".repeat(512));
}
