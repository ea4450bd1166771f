//! The way to the vault: one thread owns it, everybody else sends it steps.
//!
//! Every step that ran makes the change signal tick, so that whoever waits for something looks again.
//! Other processes may write to the same vault; who waits also looks from time to time.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use entente_vault::{Moment, ProfileFolder, Vault, VaultError, VaultKey};
use rand::rngs::OsRng;
use tokio::sync::{oneshot, watch};

use crate::clock::now;
use crate::error::{Error, Result};

type Step = Box<dyn FnOnce(&mut Vault) + Send>;

/// A handle on the vault's thread; the thread ends with the last handle, and whoever drops that waits until the
/// vault is closed. A process that ended meanwhile would take libcrypto away from under it.
#[derive(Clone)]
pub(crate) struct VaultThread {
    queue: Arc<Queue>,
    ticks: watch::Sender<u64>,
}

/// Both are there until the last handle is dropped.
struct Queue {
    steps: Option<mpsc::Sender<Step>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.steps.take());
        let own = |thread: &JoinHandle<()>| thread.thread().id() == thread::current().id();
        if let Some(thread) = self.thread.take().filter(|thread| !own(thread))
            && thread.join().is_err()
        {
            tracing::error!("the vault's thread panicked");
        }
    }
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
        let failed = |error| Error::Setup(format!("no thread for the vault: {error}"));
        let queue = Queue {
            thread: Some(spawned.map_err(failed)?),
            steps: Some(steps),
        };
        result.await.map_err(|_| Error::Stopped)??;
        Ok(Self {
            queue: Arc::new(queue),
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
        let steps = self.queue.steps.as_ref().ok_or(Error::Stopped)?;
        steps.send(step).map_err(|_| Error::Stopped)?;
        Ok(result.await.map_err(|_| Error::Stopped)??)
    }

    /// Ticks after every step of this process.
    pub(crate) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use entente_vault::Unlock;

    use super::*;

    /// Files below a folder that this process has open.
    fn open_below(folder: &Path) -> usize {
        let descriptors = fs::read_dir("/proc/self/fd").expect("this process has descriptors");
        let files = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        files.filter(|file| file.starts_with(folder)).count()
    }

    #[tokio::test]
    async fn with_the_last_handle_the_vault_is_closed() {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path().join("profile");
        for _ in 0..10 {
            let unlock = Unlock::KeyFile;
            let opened = ProfileFolder::open_or_create(&folder, &unlock, &mut OsRng);
            let (profile, key) = opened.expect("a profile");
            let vault = VaultThread::open(profile, key).await.expect("a vault");
            let other = vault.clone();
            drop(vault);
            let known = other.look(|vault| Ok(vault.find_own()?.is_some()));
            assert!(!known.await.expect("it is still open"));
            assert!(open_below(&folder) > 0);
            drop(other);
            assert_eq!(open_below(&folder), 0);
        }
    }
}
