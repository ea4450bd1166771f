//! Finding the own homeserver, connecting to it, and logging in.

use entente_discovery::SafeClient;
use entente_identity::{AccountDid, DeviceId, ServerDid, SigningKey};
use entente_protocol::call::{ClientRequest, ClientResponse, LoggedIn};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::{LOGIN_EXPORTER_LABEL, LoginProof, prove};
use entente_transport::{Addresses, ConnectError, Connection, Endpoint};
use entente_vault::ServerPin;

use crate::clock::now;
use crate::error::{Error, Result};
use crate::vault_thread::VaultThread;

/// Who logs in.
pub(crate) struct Device {
    pub(crate) home: ServerDid,
    pub(crate) account: AccountDid,
    pub(crate) device: DeviceId,
    pub(crate) key: SigningKey,
}

/// What the homeserver's document said at first contact; fetched and pinned if it never was.
pub(crate) async fn pin(
    vault: &VaultThread,
    documents: &SafeClient,
    home: &ServerDid,
) -> Result<ServerPin> {
    let server = home.clone();
    let known = vault.look(move |vault| vault.server_pin(&server)).await?;
    if let Some(pin) = known {
        return Ok(pin);
    }
    let document = documents.server_document(home.domain()).await?;
    let server = home.clone();
    let pinned = vault.run(move |vault, moment| {
        vault.pin_server(&document, moment.now)?;
        vault.server_pin(&server)
    });
    pinned.await?.ok_or(Error::Stopped)
}

/// Fetches the homeserver's document again, in case it has moved; its keys must be the pinned ones.
pub(crate) async fn look_again(
    vault: &VaultThread,
    documents: &SafeClient,
    pin: &ServerPin,
) -> Result<()> {
    let document = documents.server_document(pin.server.domain()).await?;
    if document.keys.iter().any(|key| pin.keys.contains(key)) {
        vault
            .run(move |vault, _| vault.move_server(&document))
            .await
    } else {
        Err(changed(&pin.server))
    }
}

/// Connects to a pinned server, at its addresses in turn.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    documents: &SafeClient,
    pin: &ServerPin,
) -> Result<Connection> {
    let domain = pin.server.domain();
    let addresses = documents
        .addresses_of(domain, &pin.client)
        .await
        .map_err(|error| Error::Unreachable(format!("{domain} cannot be located: {error}")))?;
    let mut last = Error::Unreachable(format!("{domain} has no address"));
    for to in Addresses::in_turn(addresses) {
        let (host, address) = (pin.client.host.as_str(), to.0);
        let dialling = endpoint.connect_client_to_one_of(to, host, &pin.keys);
        let dialled = dialling.await;
        match dialled {
            Ok(connection) => {
                documents.answered(domain, address);
                return Ok(connection);
            }
            Err(ConnectError::UnknownKey { .. }) => return Err(changed(&pin.server)),
            Err(error) => {
                documents.fell_silent(domain, address);
                last = Error::Unreachable(format!("{domain} does not answer: {error}"));
            }
        }
    }
    Err(last)
}

/// A connection to the homeserver broke, or its node is not up to a login: another of its nodes is tried
/// first.
pub(crate) fn broke(documents: &SafeClient, home: &ServerDid, connection: &Connection) {
    documents.fell_silent(home.domain(), connection.remote_address());
}

fn changed(server: &ServerDid) -> Error {
    Error::Integrity(format!(
        "{server} shows another key than it had at first contact: somebody may stand in between. Ask \
         its operator by another way"
    ))
}

/// Logs in on a connection.
pub(crate) async fn login(connection: &Connection, device: &Device) -> Result<LoggedIn> {
    let proof = LoginProof {
        account: device.account,
        device: device.device,
        exporter: connection.channel_binding(LOGIN_EXPORTER_LABEL, &[]),
    };
    let origin = device.account.to_string();
    let proof = prove(&proof, origin, &device.home, &device.key, now());
    match call(connection, &ClientRequest::Login(proof)).await? {
        ClientResponse::LoggedIn(logged_in) => Ok(logged_in),
        _ => Err(misbehaved()),
    }
}

/// Asks the homeserver something.
pub(crate) async fn call(
    connection: &Connection,
    request: &ClientRequest,
) -> Result<ClientResponse> {
    let answer = connection.call(request).await;
    answer.map_err(|error| Error::Refused(Fault::from(error)))
}

/// The homeserver answered another question.
pub(crate) fn misbehaved() -> Error {
    let detail = "the homeserver answered another question than was asked";
    Error::Refused(Fault::new(FaultCode::PeerMisbehaved, detail))
}
