//! The bytes of a QUIC stream: its opening, its frames, the segment tables of their messages.

use bytes::Bytes;
use capnp::any_pointer;

use crate::frame::{FrameBuffer, FrameFault, open_message};
use crate::limits::{FRAME_MAX_BYTES, STRANGER_FRAME_MAX_BYTES};
use crate::opening::Opening;
use crate::target::{Target, Verdict};

pub(super) const STREAMS: Target = Target {
    name: "streams",
    run: streams,
    checks: "An opening has one form. Frames come out the same however the bytes are cut, none is longer \
             than its limit, and a message's pointers are followed within their limits.",
    smoke_runs: 15_000,
};

/// Four bytes of opening, one that says how the rest is cut and which limit holds, the rest.
fn streams(input: &[u8]) -> Verdict {
    let Some((opening, rest)) = input.split_first_chunk::<4>() else {
        return Verdict::Refused;
    };
    let opened = Opening::parse(*opening).is_ok_and(|parsed| {
        assert_eq!(parsed.bytes(), *opening, "an opening has one form");
        true
    });
    let (cut, rest) = rest.split_first().unwrap_or((&0, &[]));
    let limit = if cut & 1 == 0 {
        FRAME_MAX_BYTES
    } else {
        STRANGER_FRAME_MAX_BYTES
    };
    let whole = frames(&mut [rest].into_iter(), limit);
    let pieces = frames(&mut rest.chunks(1 + usize::from(cut >> 1)), limit);
    assert_eq!(whole, pieces, "frames do not depend on how bytes arrive");
    let (frames, fault) = whole;
    let mut readable = opened && fault.is_none();
    for frame in frames {
        assert!(frame.len() <= limit, "a frame is within its limit");
        readable &= walk(&frame).is_ok();
    }
    if readable {
        Verdict::Accepted
    } else {
        Verdict::Refused
    }
}

/// All frames, and the fault that ended them.
fn frames(
    chunks: &mut dyn Iterator<Item = &[u8]>,
    limit: usize,
) -> (Vec<Bytes>, Option<FrameFault>) {
    let (mut buffer, mut frames) = (FrameBuffer::default(), Vec::new());
    for chunk in chunks {
        buffer.extend(chunk);
        loop {
            match buffer.next_length(limit) {
                Ok(Some(length)) => buffer.make_room(length),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
            match buffer.next_frame(limit) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(fault) => return (frames, Some(fault)),
            }
        }
    }
    let cut_off = (!buffer.is_empty()).then_some(FrameFault::Truncated);
    (frames, cut_off)
}

/// Follows every pointer of a message.
fn walk(frame: &[u8]) -> Result<(), FrameFault> {
    let message = open_message(frame)?;
    let root: any_pointer::Reader<'_> = message.get_root()?;
    root.target_size()?;
    Ok(())
}
