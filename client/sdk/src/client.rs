//! The facade: one profile.

mod events;
mod messages;
mod people;
mod register;
mod rooms;
mod status;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use entente_client_core::event::ConnectionState;
use entente_client_core::goal::GoalId;
use entente_discovery::{Options, SafeClient};
use entente_identity::{AccountDid, DeviceId, Handle, ServerDid};
use entente_transport::{CloseCode, Connection, Endpoint};
use entente_vault::{GoalFate, NetworkPaths, ProfileFolder, Unlock, UnlockKind};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::error::{Error, Result};
use crate::vault_thread::VaultThread;
use crate::worker::{self, OTHERS_INTERVAL, Shared};

pub use events::{Events, From};
pub use messages::SendOptions;
pub use people::Person;
pub use register::RegisterOptions;
pub use status::Status;

/// How long a change in a room is waited for before it is left to the background.
const CHANGE_LIMIT: Duration = Duration::from_secs(40);

/// How long the tree of a Welcome is waited for.
const WELCOME_LIMIT: Duration = Duration::from_secs(10);

/// Where names lead, in a testnet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// A host table that goes before DNS.
    pub host_table: Option<PathBuf>,
    /// An additional certificate authority for HTTPS.
    pub extra_ca: Option<PathBuf>,
}

/// Who a profile is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoAmI {
    /// Its handle.
    pub handle: Handle,
    /// Its account.
    pub account: AccountDid,
    /// This device.
    pub device: DeviceId,
    /// The homeserver.
    pub home: ServerDid,
    /// The version of its device list.
    pub device_list_version: u32,
    /// Whether the homeserver has confirmed the account.
    pub registered: bool,
    /// The profile's folder.
    pub profile: PathBuf,
}

/// One profile. Clones are handles on the same; the worker ends with the last.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    folder: PathBuf,
    connecting: AtomicBool,
}

impl Client {
    /// Whether a folder holds a profile.
    #[must_use]
    pub fn profile_exists(folder: &Path) -> bool {
        ProfileFolder::exists(folder)
    }

    /// How the profile in a folder is unlocked.
    #[must_use]
    pub fn unlock_kind(folder: &Path) -> Option<UnlockKind> {
        ProfileFolder::unlock_kind(folder)
    }

    /// Opens a profile, without any network.
    ///
    /// # Errors
    /// No profile, or it cannot be unlocked.
    pub async fn open(folder: &Path, unlock: Unlock) -> Result<Self> {
        let vault = open_vault(folder, unlock).await?;
        let network = vault.look(|vault| Ok(vault.own()?.network.clone())).await?;
        Self::assemble(folder, vault, &network)
    }

    /// Opens a profile with other network settings than its own.
    ///
    /// # Errors
    /// No profile, or it cannot be unlocked.
    pub async fn open_on(folder: &Path, unlock: Unlock, network: Network) -> Result<Self> {
        let vault = open_vault(folder, unlock).await?;
        let network = NetworkPaths {
            host_table: network.host_table,
            extra_ca: network.extra_ca,
        };
        Self::assemble(folder, vault, &network)
    }

    fn assemble(folder: &Path, vault: VaultThread, network: &NetworkPaths) -> Result<Self> {
        let options = Options::load(network.host_table.as_deref(), network.extra_ca.as_deref())?;
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let endpoint = Endpoint::dial_only(any)
            .map_err(|error| Error::Setup(format!("no socket: {error}")))?;
        let shared = Shared {
            vault,
            documents: SafeClient::new(options)?,
            endpoint,
            state: watch::Sender::new(ConnectionState::Offline),
            session: watch::Sender::new(None),
            caught_up: watch::Sender::new(false),
            stop: watch::Sender::new(false),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                shared: Arc::new(shared),
                folder: folder.to_owned(),
                connecting: AtomicBool::new(false),
            }),
        })
    }

    /// Starts to connect, in the background, and stays connected. Calling it again does nothing.
    pub fn connect(&self) {
        if !self.inner.connecting.swap(true, Ordering::AcqRel) {
            tokio::spawn(worker::run(Arc::clone(&self.inner.shared)));
        }
    }

    /// Connects, and waits until this device is logged in.
    ///
    /// # Errors
    /// It is not in time; says why.
    pub async fn online(&self, limit: Duration) -> Result<()> {
        self.live_connection(limit).await.map(|_| ())
    }

    /// Connects, and waits until all that the homeserver had is taken in.
    ///
    /// # Errors
    /// It is not in time; says why.
    pub async fn caught_up(&self, limit: Duration) -> Result<()> {
        self.connect();
        let mut caught_up = self.shared().caught_up.subscribe();
        let waiting = timeout(limit, caught_up.wait_for(|done| *done)).await;
        match waiting {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(Error::Stopped),
            Err(_) => return Err(self.why_offline()),
        }
        // Rooms into which this device was added meanwhile belong to the news.
        let welcomes =
            |vault: &mut entente_vault::Vault| Ok((vault.welcomes_waiting()? == 0).then_some(()));
        self.wait_until(WELCOME_LIMIT, welcomes).await.map(|_| ())
    }

    /// How the connection is.
    #[must_use]
    pub fn connection(&self) -> ConnectionState {
        self.shared().state.borrow().clone()
    }

    /// Ends the connection, after what is under way was written.
    pub async fn shutdown(&self) {
        let shared = self.shared();
        shared.stop.send_replace(true);
        shared
            .endpoint
            .close(CloseCode::DONE, "the client stops")
            .await;
    }

    /// Who this profile is.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn whoami(&self) -> Result<WhoAmI> {
        let profile = self.inner.folder.clone();
        let own = self.vault().look(move |vault| {
            let own = vault.own()?;
            let list = own.claim.device_list.claimed_body();
            Ok(WhoAmI {
                handle: own.handle.clone(),
                account: own.account,
                device: own.device,
                home: own.home(),
                device_list_version: list.map_or(0, |list| list.version),
                registered: own.registered,
                profile,
            })
        });
        own.await
    }

    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    fn vault(&self) -> &VaultThread {
        &self.inner.shared.vault
    }

    /// The logged-in connection.
    async fn live_connection(&self, limit: Duration) -> Result<Connection> {
        self.connect();
        let mut session = self.shared().session.subscribe();
        let waiting = timeout(limit, session.wait_for(Option::is_some)).await;
        match waiting {
            Ok(Ok(connection)) => connection.clone().ok_or(Error::Stopped),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(self.why_offline()),
        }
    }

    fn why_offline(&self) -> Error {
        match self.connection() {
            ConnectionState::Rejected { reason } => Error::Rejected(reason),
            ConnectionState::Waiting { reason, .. } => Error::Unreachable(reason),
            ConnectionState::Offline
            | ConnectionState::Connecting
            | ConnectionState::Online { .. } => {
                Error::Unreachable("the homeserver did not answer in time; try again".to_owned())
            }
        }
    }

    /// Waits until a goal is reached or refused.
    async fn reach(&self, goal: GoalId, what: &str) -> Result<()> {
        self.connect();
        let fate = self.wait_until(CHANGE_LIMIT, move |vault| match vault.goal_fate(goal)? {
            GoalFate::Open(_) => Ok(None),
            over => Ok(Some(over)),
        });
        settle(fate.await?, what)
    }

    /// Looks again after every change until there is an answer, or time is up.
    async fn wait_until<T: Send + 'static>(
        &self,
        limit: Duration,
        look: impl Fn(
            &mut entente_vault::Vault,
        ) -> std::result::Result<Option<T>, entente_vault::VaultError>
        + Clone
        + Send
        + 'static,
    ) -> Result<Option<T>> {
        let mut ticks = self.vault().ticks();
        let looking = async {
            loop {
                ticks.mark_unchanged();
                if let Some(found) = self.vault().look(look.clone()).await? {
                    return Ok::<_, Error>(found);
                }
                tokio::select! {
                    _ = ticks.changed() => {}
                    () = sleep(OTHERS_INTERVAL) => {}
                }
            }
        };
        match timeout(limit, looking).await {
            Ok(found) => found.map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// What a goal's end means.
fn settle(fate: Option<GoalFate>, what: &str) -> Result<()> {
    match fate {
        Some(GoalFate::Done) => Ok(()),
        Some(GoalFate::Failed { code, detail }) => Err(match code {
            Some(code) => Error::Refused(entente_protocol::fault::Fault::new(code, detail)),
            None => Error::NotAllowed(detail),
        }),
        Some(GoalFate::Open(_)) | None => Err(Error::TimedOut {
            what: what.to_owned(),
        }),
    }
}

async fn open_vault(folder: &Path, unlock: Unlock) -> Result<VaultThread> {
    let path = folder.to_owned();
    let opened = tokio::task::spawn_blocking(move || ProfileFolder::open(&path, &unlock)).await;
    let (folder, key) = opened
        .map_err(|_| Error::Stopped)?
        .map_err(entente_vault::VaultError::from)?;
    VaultThread::open(folder, key).await
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.send_replace(true);
    }
}
