//! The bytes of one value of every type. They never change for a released schema: a change here
//! breaks every server and device that is not updated at the same moment.

use std::fmt::{Debug, Write};

use entente_protocol::call::{ClientRequest, PeerRequest};

use super::{frame, samples};
use crate::wire::{Method, Root, WireFault, decode, encode};

fn dump(out: &mut String, title: &str, bytes: &[u8]) {
    writeln!(out, "{title}").expect("memory");
    for line in bytes.chunks(32) {
        for word in line.chunks(8) {
            out.push(' ');
            for byte in word {
                write!(out, "{byte:02x}").expect("memory");
            }
        }
        out.push('\n');
    }
}

fn roots<T: Root + Debug>(values: &[T]) -> String {
    let mut out = String::new();
    for value in values {
        dump(&mut out, &variant(value), &frame(&encode(value)));
    }
    out
}

fn requests<R: Method + Debug>(requests: &[R]) -> String {
    let mut out = String::new();
    for request in requests {
        let title = format!("{} {}", request.number(), variant(request));
        dump(&mut out, &title, &frame(&request.encode()));
    }
    out
}

fn replies<R: Method>(replies: &[(u16, R::Response)]) -> String
where
    R::Response: Debug,
{
    let mut out = String::new();
    for (number, reply) in replies {
        let title = format!("{number} {}", variant(reply));
        let message = R::encode_reply(*number, reply).expect("the method's reply");
        dump(&mut out, &title, &frame(&message));
    }
    out
}

/// The name of an enum's variant or of a struct.
fn variant(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let end = text.find([' ', '(', '{']).unwrap_or(text.len());
    text[..end].to_owned()
}

#[test]
fn calls() {
    insta::assert_snapshot!("client_requests", requests(&samples::client_requests()));
    let client_replies = replies::<ClientRequest>(&samples::client_replies());
    insta::assert_snapshot!("client_replies", client_replies);
    insta::assert_snapshot!("peer_requests", requests(&samples::peer_requests()));
    let peer_replies = replies::<PeerRequest>(&samples::peer_replies());
    insta::assert_snapshot!("peer_replies", peer_replies);
    insta::assert_snapshot!("faults", roots(&samples::faults()));
}

#[test]
fn flows() {
    insta::assert_snapshot!("submit_frames", roots(&samples::submit_frames()));
    insta::assert_snapshot!("submit_replies", roots(&samples::submit_replies()));
    insta::assert_snapshot!("sync_requests", roots(&samples::sync_requests()));
    insta::assert_snapshot!("sync_events", roots(&samples::sync_events()));
    insta::assert_snapshot!("batches", roots(&samples::batches()));
    insta::assert_snapshot!("relay_replies", roots(&samples::relay_replies()));
}

/// Every method of the schemas has a golden request and a golden reply.
#[test]
fn no_method_is_left_out() {
    fn check<R: Method>(requests: &[R], replies: &[(u16, R::Response)]) {
        let other = frame(&encode(&samples::faults()[0]));
        // An unknown method is told before its request is looked at.
        let unknown = |number: &u16| {
            let fault = R::decode(*number, &other).err();
            matches!(
                fault,
                Some(WireFault::Unknown {
                    field: "method",
                    ..
                })
            )
        };
        let methods: Vec<u16> = (0..).take_while(|number| !unknown(number)).collect();
        for method in methods {
            assert!(requests.iter().any(|request| request.number() == method));
            assert!(replies.iter().any(|(number, _)| *number == method));
        }
    }
    check(&samples::client_requests(), &samples::client_replies());
    check(&samples::peer_requests(), &samples::peer_replies());
}

/// A message as a later version may write it: one more field in the data section, one more pointer.
#[test]
fn fields_added_later_are_passed_over() {
    let (_, reply) = samples::client_replies().remove(3);
    let entente_protocol::call::ClientResponse::Ordered(ordered) = reply else {
        panic!("{reply:?}");
    };
    let bytes = frame(&encode(&ordered));
    // Root pointer: struct with 2 data words and 1 pointer. The longer one moves what it points to
    // by two words.
    assert_eq!(bytes[8..16], [0, 0, 0, 0, 2, 0, 1, 0]);
    let mut longer = bytes[..8].to_vec();
    longer.extend([0, 0, 0, 0, 3, 0, 2, 0]);
    longer.extend(&bytes[16..32]);
    longer.extend([0xee; 8]);
    let mut at = u32::from_le_bytes(bytes[32..36].try_into().expect("4 bytes"));
    at += 1 << 2;
    longer.extend(at.to_le_bytes());
    longer.extend(&bytes[36..40]);
    longer.extend([0; 8]);
    longer.extend(&bytes[40..]);
    let words = u32::try_from(longer.len() / 8 - 1).expect("short");
    longer[4..8].copy_from_slice(&words.to_le_bytes());
    assert_eq!(decode(&longer), Ok(ordered));
}
