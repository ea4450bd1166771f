//! Packets and frames of QUIC version 1 (RFC 9000 §17, §19), as far as a hostile peer needs them.

use rustls::quic::{DirectionalKeys, Keys};

/// Bytes of an AEAD's tag.
const TAG_BYTES: usize = 16;
/// Bytes of the packet numbers that are written here.
const NUMBER_BYTES: usize = 4;
/// Bytes of the connection ids of both sides.
pub const ID_BYTES: usize = 8;

/// The kinds of packets, by the bits of their first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
    Short,
}

/// What a peer says in a packet, as far as anybody here wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Crypto {
        offset: u64,
        data: Vec<u8>,
    },
    Stream {
        id: u64,
        data: Vec<u8>,
    },
    /// RESET_STREAM or STOP_SENDING.
    GivenUp {
        id: u64,
        code: u64,
    },
    /// CONNECTION_CLOSE of QUIC itself.
    Closed {
        code: u64,
        reason: String,
    },
    /// CONNECTION_CLOSE of the application.
    ClosedByApplication {
        code: u64,
    },
    HandshakeDone,
}

/// RFC 9000 §16.
pub fn varint(value: u64) -> Vec<u8> {
    match value {
        0..0x40 => vec![value as u8],
        0x40..0x4000 => (value as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..0x4000_0000 => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

/// Reads a packet's or frame's fields one after the other.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    fn skip(&mut self, count: u64) {
        for _ in 0..count {
            self.varint();
        }
    }

    pub fn varint(&mut self) -> u64 {
        let length = 1 << (self.0[0] >> 6);
        let bytes = self.bytes(length);
        let mask = u64::MAX >> (2 + 8 * (8 - length));
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
            & mask
    }
}

/// The header of a packet up to its number, without protection.
pub struct Header<'a> {
    pub kind: Kind,
    pub to: &'a [u8],
    pub from: &'a [u8],
    pub token: &'a [u8],
}

impl Header<'_> {
    fn bytes(&self, payload: usize) -> Vec<u8> {
        let number_bits = (NUMBER_BYTES - 1) as u8;
        let long = |kind: u8| 0xc0 | kind << 4 | number_bits;
        let first = match self.kind {
            Kind::Initial => long(0),
            Kind::ZeroRtt => long(1),
            Kind::Handshake => long(2),
            Kind::Retry => long(3),
            Kind::Short => return [&[0x40 | number_bits], self.to].concat(),
        };
        let id = |id: &[u8]| [&[id.len() as u8], id].concat();
        let token = match self.kind {
            Kind::Initial => [varint(self.token.len() as u64), self.token.to_vec()].concat(),
            _ => Vec::new(),
        };
        let length = varint((NUMBER_BYTES + payload + TAG_BYTES) as u64);
        [
            &[first, 0, 0, 0, 1][..],
            &id(self.to),
            &id(self.from),
            &token,
            &length,
        ]
        .concat()
    }
}

/// A whole protected packet.
pub fn seal(header: &Header<'_>, number: u32, frames: &[u8], keys: &DirectionalKeys) -> Vec<u8> {
    let mut head = header.bytes(frames.len());
    let at = head.len();
    head.extend(number.to_be_bytes());
    let mut payload = frames.to_vec();
    let tag = keys
        .packet
        .encrypt_in_place(number.into(), &head, &mut payload)
        .expect("sealed");
    let mut packet = [&head[..], &payload, tag.as_ref()].concat();
    let sample = packet[at + 4..at + 20].to_vec();
    let (front, rest) = packet.split_at_mut(at);
    keys.header
        .encrypt_in_place(&sample, &mut front[0], &mut rest[..NUMBER_BYTES])
        .expect("protected");
    packet
}

/// A packet as it came, with what is behind it in the datagram.
pub struct Received<'a> {
    pub kind: Kind,
    pub from: &'a [u8],
    packet: &'a [u8],
    number_at: usize,
    pub rest: &'a [u8],
}

/// Finds the first packet of a datagram.
pub fn first_packet(datagram: &[u8]) -> Received<'_> {
    if datagram[0] & 0x80 == 0 {
        return Received {
            kind: Kind::Short,
            from: &[],
            packet: datagram,
            number_at: 1 + ID_BYTES,
            rest: &[],
        };
    }
    let mut fields = Fields(&datagram[5..]);
    let to_length = fields.byte().into();
    fields.bytes(to_length);
    let from_length = fields.byte().into();
    let from = fields.bytes(from_length);
    let kind = match datagram[0] >> 4 & 3 {
        0 => Kind::Initial,
        1 => Kind::ZeroRtt,
        2 => Kind::Handshake,
        _ => {
            return Received {
                kind: Kind::Retry,
                from,
                packet: fields.0,
                number_at: 0,
                rest: &[],
            };
        }
    };
    if kind == Kind::Initial {
        let token = fields.varint() as usize;
        fields.bytes(token);
    }
    let length = fields.varint() as usize;
    let number_at = datagram.len() - fields.0.len();
    let (packet, rest) = datagram.split_at(number_at + length);
    Received {
        kind,
        from,
        packet,
        number_at,
        rest,
    }
}

impl Received<'_> {
    /// The token of a Retry packet, whose integrity tag is not checked here.
    pub fn retry_token(&self) -> Vec<u8> {
        self.packet[..self.packet.len() - TAG_BYTES].to_vec()
    }

    /// The frames inside, if the keys fit.
    pub fn open(&self, keys: &Keys) -> Option<Vec<u8>> {
        let mut packet = self.packet.to_vec();
        let sample = packet
            .get(self.number_at + 4..self.number_at + 20)?
            .to_vec();
        let (front, rest) = packet.split_at_mut(self.number_at);
        let number_bytes = &mut rest[..4];
        let header = &keys.remote.header;
        header
            .decrypt_in_place(&sample, &mut front[0], number_bytes)
            .ok()?;
        let length = usize::from(front[0] & 3) + 1;
        let number = number_bytes[..length].iter();
        let number = number.fold(0, |all, byte| all << 8 | u64::from(*byte));
        let (header, payload) = packet.split_at_mut(self.number_at + length);
        let opened = keys.remote.packet.decrypt_in_place(number, header, payload);
        Some(opened.ok()?.to_vec())
    }
}

/// What the frames of a packet say.
pub fn said(frames: &[u8]) -> Vec<Said> {
    let mut fields = Fields(frames);
    let mut said = Vec::new();
    while !fields.0.is_empty() {
        said.extend(next_said(&mut fields));
    }
    said
}

fn next_said(fields: &mut Fields<'_>) -> Option<Said> {
    match fields.varint() {
        0x02 => acknowledgement(fields),
        0x06 => {
            let (offset, length) = (fields.varint(), fields.varint());
            let data = fields.bytes(length as usize).to_vec();
            return Some(Said::Crypto { offset, data });
        }
        kind @ (0x04 | 0x05) => {
            let (id, code) = (fields.varint(), fields.varint());
            if kind == 0x04 {
                fields.varint();
            }
            return Some(Said::GivenUp { id, code });
        }
        0x07 => {
            let length = fields.varint();
            fields.bytes(length as usize);
        }
        kind @ 0x08..0x10 => {
            let id = fields.varint();
            if kind & 0x04 != 0 {
                fields.varint();
            }
            let length = match kind & 0x02 {
                0 => fields.0.len() as u64,
                _ => fields.varint(),
            };
            let data = fields.bytes(length as usize).to_vec();
            return Some(Said::Stream { id, data });
        }
        0x10 | 0x12 | 0x13 | 0x14 | 0x16 | 0x17 | 0x19 => fields.skip(1),
        0x11 | 0x15 => fields.skip(2),
        0x18 => {
            fields.skip(2);
            let length = fields.byte();
            fields.bytes(usize::from(length) + 16);
        }
        0x1a | 0x1b => {
            fields.bytes(8);
        }
        kind @ (0x1c | 0x1d) => return Some(close(fields, kind)),
        0x1e => return Some(Said::HandshakeDone),
        // PADDING and PING.
        0x00 | 0x01 => {}
        other => panic!("the server sends a frame of kind {other:#x}"),
    }
    None
}

fn acknowledgement(fields: &mut Fields<'_>) {
    fields.skip(2);
    let ranges = fields.varint();
    fields.skip(1 + 2 * ranges);
}

fn close(fields: &mut Fields<'_>, kind: u64) -> Said {
    let code = fields.varint();
    if kind == 0x1d {
        let length = fields.varint();
        fields.bytes(length as usize);
        return Said::ClosedByApplication { code };
    }
    fields.varint();
    let length = fields.varint();
    let reason = String::from_utf8_lossy(fields.bytes(length as usize)).into();
    Said::Closed { code, reason }
}
