//! Opening an account.

use std::path::Path;

use entente_identity::{Handle, RecoveryWords};
use entente_protocol::call::{ClientRequest, ClientResponse, Register};
use entente_protocol::fault::FaultCode;
use entente_transport::CloseCode;
use entente_vault::{NetworkPaths, NewAccount, ProfileFolder, Unlock, VaultError};
use rand::rngs::OsRng;
use tokio::task::spawn_blocking;

use super::{Client, Network};
use crate::error::{Error, Result};
use crate::home::{call, connect, misbehaved, pin};
use crate::vault_thread::VaultThread;

/// How long the first login after a registration may take.
const FIRST_LOGIN: std::time::Duration = std::time::Duration::from_secs(20);

/// What a registration may need.
#[derive(Clone, Debug, Default)]
pub struct RegisterOptions {
    /// The token, where the server wants one.
    pub token: Option<String>,
    /// Where names lead; kept in the profile.
    pub network: Network,
}

impl Client {
    /// Opens an account at the handle's server, and makes the profile for it.
    ///
    /// `show_words` is called once, before anything is stored or sent: the words are the only copy of
    /// the account's root. Interrupted after that, the same call resumes with the same account and
    /// shows nothing. A definite refusal voids the words that were shown.
    ///
    /// # Errors
    /// The folder is another account's profile, the server cannot be reached, or it says no.
    pub async fn register(
        folder: &Path,
        unlock: Unlock,
        handle: Handle,
        options: RegisterOptions,
        show_words: impl FnOnce(&RecoveryWords) + Send,
    ) -> Result<Self> {
        let path = folder.to_owned();
        let opened = spawn_blocking(move || {
            ProfileFolder::open_or_create(&path, &unlock, &mut OsRng).map_err(VaultError::from)
        });
        let (profile, key) = opened.await.map_err(|_| Error::Stopped)??;
        let vault = VaultThread::open(profile, key).await?;
        let network = NetworkPaths {
            host_table: options.network.host_table,
            extra_ca: options.network.extra_ca,
        };
        make_account(&vault, &handle, &network, show_words).await?;
        let client = Self::assemble(folder, vault, &network)?;
        client.send_claim(options.token).await?;
        if let Err(error) = client.online(FIRST_LOGIN).await {
            // The account is open; logging in is tried again whenever the profile is online.
            tracing::warn!(%error, "the first login takes longer");
        }
        Ok(client)
    }

    async fn send_claim(&self, token: Option<String>) -> Result<()> {
        let (home, claim) = self
            .vault()
            .look(|vault| {
                let own = vault.own()?;
                Ok((own.home(), own.claim.clone()))
            })
            .await?;
        let shared = self.shared();
        let pin = pin(&shared.vault, &shared.documents, &home).await?;
        let connection = connect(&shared.endpoint, &shared.documents, &pin).await?;
        let request = ClientRequest::Register(Register { claim, token });
        let answer = call(&connection, &request).await;
        connection.close(CloseCode::DONE, "registered");
        match answer {
            Ok(ClientResponse::Done) => {
                self.vault()
                    .run(|vault, _| vault.account_registered())
                    .await
            }
            Ok(_) => Err(misbehaved()),
            Err(Error::Refused(fault)) if is_definite(fault.code) => {
                self.vault()
                    .run(|vault, _| vault.forget_refused_account())
                    .await?;
                Err(Error::Refused(fault))
            }
            Err(error) => Err(error),
        }
    }
}

/// Makes and stores the account, unless an interrupted registration of the same handle left one.
async fn make_account(
    vault: &VaultThread,
    handle: &Handle,
    network: &NetworkPaths,
    show_words: impl FnOnce(&RecoveryWords) + Send,
) -> Result<()> {
    let known = vault.look(|vault| {
        let own = vault.find_own()?;
        Ok(own.map(|own| (own.handle.clone(), own.registered)))
    });
    if let Some((known, registered)) = known.await? {
        if known == *handle && !registered {
            let network = network.clone();
            return vault.run(move |vault, _| vault.set_network(&network)).await;
        }
        return Err(VaultError::AlreadyRegistered(known.to_string()).into());
    }
    let (handle, network) = (handle.clone(), network.clone());
    let made = vault.run(move |_, moment| Ok(NewAccount::make(handle, network, moment)));
    let (account, words) = made.await?;
    show_words(&words);
    drop(words);
    vault
        .run(move |vault, moment| vault.store_account(&account, moment.now))
        .await
}

fn is_definite(code: FaultCode) -> bool {
    matches!(
        code,
        FaultCode::HandleTaken | FaultCode::RegistrationRefused | FaultCode::BadRequest
    )
}
