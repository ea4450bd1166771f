//! The way to the vault: one thread owns it, everybody else sends it steps.
//!
//! Every step that ran makes the change signal tick, so that whoever waits for something looks again.
//! Other processes may write to the same vault; who waits also looks from time to time.

use std::sync::mpsc;
use std::thread;

use entente_vault::{Moment, ProfileFolder, Vault, VaultError, VaultKey};
use rand::rngs::OsRng;
use tokio::sync::{oneshot, watch};

use crate::clock::now;
use crate::error::{Error, Result};

type Step = Box<dyn FnOnce(&mut Vault) + Send>;

/// A handle on the vault's thread; the thread ends with the last handle.
#[derive(Clone)]
pub(crate) struct VaultThread {
    steps: mpsc::Sender<Step>,
    ticks: watch::Sender<u64>,
}

impl VaultThread {
    /// Opens the vault on a thread of its own.
    pub(crate) async fn open(folder: ProfileFolder, key: VaultKey) -> Result<Self> {
        let (steps, queue) = mpsc::channel::<Step>();
        let (opened, result) = oneshot::channel();
        let spawned = thread::Builder::new()
            .name("vault".to_owned())
            .spawn(move || match Vault::open(&folder, &key) {
                Ok(mut vault) => {
                    drop(key);
                    if opened.send(Ok(())).is_ok() {
                        queue.iter().for_each(|step| step(&mut vault));
                    }
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            });
        spawned.map_err(|error| Error::Setup(format!("no thread for the vault: {error}")))?;
        result.await.map_err(|_| Error::Stopped)??;
        Ok(Self {
            steps,
            ticks: watch::Sender::new(0),
        })
    }

    /// Runs a step.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Vault, Moment<'_>) -> std::result::Result<T, VaultError> + Send + 'static,
    ) -> Result<T> {
        let result = self.look(move |vault| {
            let moment = Moment {
                now: now(),
                rng: &mut OsRng,
            };
            step(vault, moment)
        });
        let result = result.await;
        self.ticks.send_modify(|tick| *tick += 1);
        result
    }

    /// Looks something up; nobody is told.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        step: impl FnOnce(&mut Vault) -> std::result::Result<T, VaultError> + Send + 'static,
    ) -> Result<T> {
        let (done, result) = oneshot::channel();
        let step: Step = Box::new(move |vault| {
            // Whoever asked may have gone; the step is done all the same.
            let _ = done.send(step(vault));
        });
        self.steps.send(step).map_err(|_| Error::Stopped)?;
        Ok(result.await.map_err(|_| Error::Stopped)??)
    }

    /// Ticks after every step of this process.
    pub(crate) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }
}
