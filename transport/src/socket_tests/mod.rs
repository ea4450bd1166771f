//! The byte-level layer over real sockets on the loopback interface.

mod admission;
mod bare_peer;
mod exhaustion;
mod identity;
mod messages;
mod quic_abuse;
mod streams;
mod trust;
mod typed;

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use capnp::message::{Builder, HeapAllocator};
use entente_identity::{PublicKey, SigningKey};

use crate::call::exchange;
use crate::incoming::RawStream;
use crate::limits::EndpointLimits;
use crate::stream::{FrameWriter, StreamFault};
use crate::{AdmissionLimits, Connection, Endpoint, ServerIdentity};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const NAME: &str = "b.example";

fn identity(seed: u8) -> ServerIdentity {
    ServerIdentity::new(&SigningKey::from_seed(&[seed; 32])).expect("a key is a key")
}

fn public(seed: u8) -> PublicKey {
    SigningKey::from_seed(&[seed; 32]).public()
}

fn server(seed: u8) -> Endpoint {
    server_with(seed, EndpointLimits::default())
}

fn server_with(seed: u8, limits: impl Into<EndpointLimits>) -> Endpoint {
    Endpoint::bind(LOOPBACK, identity(seed), limits).expect("loopback can be bound")
}

fn device() -> Endpoint {
    Endpoint::dial_only(LOOPBACK).expect("loopback can be bound")
}

/// Both ends of one connection, with the endpoints that hold them.
struct Pair {
    _endpoints: [Endpoint; 2],
    dialled: Connection,
    accepted: Connection,
}

impl Pair {
    async fn client() -> Self {
        let (device, server) = (device(), server(1));
        let address = server.local_address().unwrap();
        let dialled = device.connect_client(address, NAME, &[public(1)]).await;
        let accepted = server.accept().await.expect("the endpoint is open");
        accepted.trust();
        Self {
            dialled: dialled.unwrap(),
            accepted,
            _endpoints: [device, server],
        }
    }

    async fn federation() -> Self {
        let (a, b) = (server(2), server(1));
        let address = b.local_address().unwrap();
        let dialled = a.connect_federation(address, NAME, &[public(1)]).await;
        let accepted = b.accept().await.expect("the endpoint is open");
        accepted.trust();
        Self {
            dialled: dialled.unwrap(),
            accepted,
            _endpoints: [a, b],
        }
    }
}

/// A message whose root is the given bytes.
fn message(bytes: &[u8]) -> Builder<HeapAllocator> {
    let words = u32::try_from(bytes.len() / 8 + 2).unwrap();
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
    message.set_root::<capnp::data::Owned>(bytes).unwrap();
    message
}

/// The bytes of [`message`] again.
fn content(frame: &Bytes) -> Vec<u8> {
    let message = crate::frame::open_message(frame).unwrap();
    message.get_root::<capnp::data::Reader>().unwrap().to_vec()
}

async fn reply(mut writer: FrameWriter, bytes: &[u8]) -> Result<(), StreamFault> {
    writer.queue_bytes(&[0]);
    writer.queue(&message(bytes))?;
    writer.flush().await?;
    writer.finish();
    Ok(())
}

/// Answers every call with its own content.
fn serve_echo(connection: Connection) {
    tokio::spawn(async move {
        while let Ok(stream) = connection.accept().await {
            tokio::spawn(async move {
                if let RawStream::Call {
                    request, writer, ..
                } = stream.read().await?
                {
                    reply(writer, &content(&request)).await?;
                }
                Ok::<_, crate::StreamFault>(())
            });
        }
    });
}
