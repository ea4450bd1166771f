//! QUIC packets by hand: Initial packets with any frames and transport parameters, and nonsense.

use std::sync::Arc;

use anyhow::{Context, Result};
use entente_transport::Link;
use rustls::Side;
use rustls::crypto::aws_lc_rs;
use rustls::quic::{ClientConnection, Keys, Version};
use rustls_pki_types::ServerName;

use super::link::tls;

/// The smallest datagram that may hold an Initial packet (RFC 9000 §14.1).
const DATAGRAM_BYTES: usize = 1_200;
/// Bytes of a packet number as written here.
const NUMBER_BYTES: usize = 4;
/// Bytes of the authentication tag.
const TAG_BYTES: usize = 16;
/// Bytes of a ClientHello that go into one packet.
const CRYPTO_BYTES: usize = 900;

/// What a server's answering datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The versions that the server speaks.
    VersionNegotiation,
    /// The first packet of a connection, or its refusal.
    Initial,
    /// A packet of the handshake.
    Handshake,
    /// Come back with this token.
    Retry,
    /// A packet with a short header: data, or a stateless reset.
    Short,
}

/// Tells what a datagram begins with (RFC 9000 §17).
#[must_use]
pub fn kind(datagram: &[u8]) -> Option<Kind> {
    let (first, version) = (*datagram.first()?, datagram.get(1..5));
    if first & 0x80 == 0 {
        return Some(Kind::Short);
    }
    if version? == [0; 4] {
        return Some(Kind::VersionNegotiation);
    }
    match first >> 4 & 3 {
        0 => Some(Kind::Initial),
        2 => Some(Kind::Handshake),
        3 => Some(Kind::Retry),
        _ => None,
    }
}

/// A newcomer that writes its Initial packets by hand.
pub struct Newcomer {
    destination: [u8; 8],
    source: [u8; 8],
    keys: Keys,
    next_number: u32,
}

impl Newcomer {
    /// Begins with connection ids of the caller's choice.
    ///
    /// # Errors
    /// Never: the suite of Initial packets is there.
    pub fn new(destination: [u8; 8], source: [u8; 8]) -> Result<Self> {
        let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let suite = suite.tls13().context("a suite of TLS 1.3")?;
        let quic = suite.quic.context("a suite for QUIC")?;
        Ok(Self {
            destination,
            source,
            keys: Keys::initial(Version::V1, suite, quic, &destination, Side::Client),
            next_number: 0,
        })
    }

    /// One datagram with one Initial packet that holds these frames, padded to size.
    ///
    /// # Errors
    /// The library refuses to encrypt.
    pub fn initial(&mut self, frames: &[u8]) -> Result<Vec<u8>> {
        let mut header = vec![0xc0 | (NUMBER_BYTES as u8 - 1)];
        header.extend(1_u32.to_be_bytes());
        header.push(8);
        header.extend(self.destination);
        header.push(8);
        header.extend(self.source);
        header.push(0);
        let room = DATAGRAM_BYTES - header.len() - 2 - NUMBER_BYTES - TAG_BYTES;
        let mut payload = frames.to_vec();
        payload.resize(payload.len().max(room), 0);
        let length = NUMBER_BYTES + payload.len() + TAG_BYTES;
        header.extend((0x4000 | u16::try_from(length)?).to_be_bytes());
        let number_at = header.len();
        header.extend(self.next_number.to_be_bytes());
        let key = &self.keys.local;
        let number = u64::from(self.next_number);
        let tag = key.packet.encrypt_in_place(number, &header, &mut payload)?;
        let mut packet = [header, payload, tag.as_ref().to_vec()].concat();
        self.next_number += 1;
        let (head, sample) = packet.split_at_mut(number_at + NUMBER_BYTES);
        let sample = &sample[..key.header.sample_len()];
        let (first, rest) = head.split_first_mut().context("a header")?;
        let number = &mut rest[number_at - 1..];
        key.header.encrypt_in_place(sample, first, number)?;
        Ok(packet)
    }

    /// The datagrams of a ClientHello, with any transport parameters.
    ///
    /// # Errors
    /// The library refuses.
    pub fn hello(&mut self, parameters: &[u8]) -> Result<Vec<Vec<u8>>> {
        let hello = self.client_hello(parameters)?;
        let mut datagrams = Vec::new();
        for (index, part) in hello.chunks(CRYPTO_BYTES).enumerate() {
            let frame = crypto_frame(index * CRYPTO_BYTES, part)?;
            datagrams.push(self.initial(&frame)?);
        }
        Ok(datagrams)
    }

    /// A ClientHello (RFC 8446 §4.1.2) with any transport parameters.
    ///
    /// # Errors
    /// The library refuses.
    pub fn client_hello(&self, parameters: &[u8]) -> Result<Vec<u8>> {
        let config = Arc::new(tls(Link::Client, None)?);
        let name = ServerName::try_from("org-a.test")?;
        let parameters = parameters.to_vec();
        let mut connection = ClientConnection::new(config, Version::V1, name, parameters)?;
        let mut hello = Vec::new();
        connection.write_hs(&mut hello);
        Ok(hello)
    }

    /// Transport parameters that a server accepts: the own connection id, and little else.
    #[must_use]
    pub fn parameters(&self) -> Vec<u8> {
        let mut parameters = vec![0x0f, 8];
        parameters.extend(self.source);
        parameters
    }
}

/// A CRYPTO frame (RFC 9000 §19.6).
///
/// # Errors
/// It is longer than a packet.
pub fn crypto_frame(offset: usize, part: &[u8]) -> Result<Vec<u8>> {
    let number = |value: usize| Ok::<_, anyhow::Error>(0x8000_0000 | u32::try_from(value)?);
    let mut frame = vec![0x06];
    frame.extend(number(offset)?.to_be_bytes());
    frame.extend(number(part.len())?.to_be_bytes());
    frame.extend(part);
    Ok(frame)
}

/// A long header with any version and type, followed by nonsense.
#[must_use]
pub fn long_header(first: u8, version: u32, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80 | first];
    packet.extend(version.to_be_bytes());
    packet.push(8);
    packet.extend(rest.iter().copied().chain(std::iter::repeat(7)).take(8));
    packet.push(8);
    packet.extend([9; 8]);
    packet.extend(rest);
    packet.resize(packet.len().max(DATAGRAM_BYTES), 0);
    packet
}
