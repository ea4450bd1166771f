//! The QUIC parameters of both protocols: limits, windows, signs of life.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, ServerConfig,
    TransportConfig, VarInt,
};

use rand::RngCore;
use rand::rngs::OsRng;
use sha2::Sha256;

use crate::certificate::ServerIdentity;
use crate::connection::{Addresses, Link};
use crate::limits::{
    CLIENT_IDLE_LIMIT, CLIENT_KEEP_ALIVE, CLIENT_WINDOW_BYTES, FEDERATION_IDLE_LIMIT,
    FEDERATION_KEEP_ALIVE, FEDERATION_WINDOW_BYTES, SEND_WINDOW_BYTES, STRANGER_SEND_WINDOW_BYTES,
    STRANGER_STREAMS_MAX, STRANGER_WINDOW_BYTES, STREAM_WINDOW_BYTES, STREAMS_MAX,
    SWIFT_IDLE_LIMIT, SWIFT_KEEP_ALIVE,
};
use crate::tls::{self, TlsFault};

/// Newcomers whose first packet waits to be looked at.
const INCOMING_MAX: usize = 1024;
/// Bytes that one newcomer may send before it is looked at: its first flight has two packets.
const INCOMING_BUFFER_BYTES: u64 = 16 << 10;
/// The same for all newcomers together.
const INCOMING_BUFFERS_BYTES: u64 = 4 << 20;

/// QUIC version 1 (RFC 9000) and nothing else.
const VERSIONS: [u32; 1] = [1];

/// A server's endpoint recognizes its connection ids after a restart and answers them with a stateless
/// reset, so that peers of a killed server reconnect at once instead of after their idle limit.
pub(crate) fn endpoint(identity: Option<&ServerIdentity>) -> EndpointConfig {
    let mut config = match identity {
        Some(identity) => {
            let key = ResetKey(identity.reset_key());
            let mut config = EndpointConfig::new(Arc::new(key));
            config.cid_generator(|| Box::new(RandomIds));
            config
        }
        None => EndpointConfig::default(),
    };
    config.supported_versions(VERSIONS.to_vec());
    config
}

/// HMAC-SHA-256 for stateless resets.
struct ResetKey([u8; 32]);

/// Random connection ids, all of which are taken for this server's own: after a restart it does not
/// know which ones it gave out, and answers unknown ones with a reset, at most one every 20 ms.
struct RandomIds;

const ID_BYTES: usize = 8;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID_BYTES];
        OsRng.fill_bytes(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl ResetKey {
    fn mac(&self, data: &[u8]) -> Hmac<Sha256> {
        let mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.chain_update(data)
    }

    fn tag(&self, data: &[u8]) -> [u8; 32] {
        self.mac(data).finalize().into_bytes().into()
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(&self.tag(data));
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.mac(data)
            .verify_slice(signature)
            .map_err(|_| CryptoError)
    }
}

/// For connections that others open: strangers at first, see [`crate::Connection::trust`]. Which
/// protocol they speak is not known before the handshake, so the idle limit is the longer of the
/// two; the dialling side of a federation link brings the shorter one, and the smaller of both
/// sides' holds (RFC 9000 §10.1).
pub(crate) fn server(identity: &ServerIdentity) -> Result<ServerConfig, TlsFault> {
    let crypto = Arc::new(tls::server_config(identity)?);
    let mut config = ServerConfig::with_crypto(crypto);
    let mut transport = transport(CLIENT_IDLE_LIMIT, None, STRANGER_WINDOW_BYTES);
    transport
        .max_concurrent_bidi_streams(STRANGER_STREAMS_MAX.into())
        .send_window(STRANGER_SEND_WINDOW_BYTES);
    config
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING_MAX)
        .incoming_buffer_size(INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(INCOMING_BUFFERS_BYTES);
    Ok(config)
}

/// For a connection that this side opens.
pub(crate) fn client(link: Link, addresses: Addresses, crypto: QuicClientConfig) -> ClientConfig {
    let mut config = ClientConfig::new(Arc::new(crypto));
    let (idle_limit, keep_alive) = match (addresses, link) {
        (Addresses::Several | Addresses::LastOfSeveral, _) => (SWIFT_IDLE_LIMIT, SWIFT_KEEP_ALIVE),
        (Addresses::One | Addresses::OtherFamily, Link::Client) => {
            (CLIENT_IDLE_LIMIT, CLIENT_KEEP_ALIVE)
        }
        (Addresses::One | Addresses::OtherFamily, Link::Federation) => {
            (FEDERATION_IDLE_LIMIT, FEDERATION_KEEP_ALIVE)
        }
    };
    let window_bytes = match link {
        Link::Client => CLIENT_WINDOW_BYTES,
        Link::Federation => FEDERATION_WINDOW_BYTES,
    };
    let transport = transport(idle_limit, Some(keep_alive), window_bytes);
    config.transport_config(Arc::new(transport));
    config
}

fn transport(
    idle_limit: Duration,
    keep_alive: Option<Duration>,
    window_bytes: u32,
) -> TransportConfig {
    let idle_limit = IdleTimeout::try_from(idle_limit).expect("seconds fit in 62 bits of ms");
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(STREAMS_MAX.into())
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(Some(idle_limit))
        .keep_alive_interval(keep_alive)
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(window_bytes.into())
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    config
}
