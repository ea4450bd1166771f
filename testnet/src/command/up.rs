//! `up`: a network that is held until Ctrl-C.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use super::show_people;
use crate::args::{Options, Up};
use crate::cast::{Person, names};
use crate::narrator::Narrator;
use crate::network::{Binaries, Network};

/// Makes the network if there is none, starts it, registers its people, and holds it.
pub async fn run(options: &Options, up: &Up) -> Result<()> {
    let narrator = Narrator::new(options.json);
    let binaries = Binaries::find(options.build_choice()).await?;
    let folder = options.folder()?;
    let mut network = if folder.is_network() {
        Network::open(folder, binaries).await?
    } else {
        narrator.act("Making a new network");
        Network::create(folder, binaries, up.servers).await?
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let end = tokio::select! {
        end = hold(&mut network, up, narrator) => end,
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    narrator.act("Stopping");
    let stopped = network.stop_all().await;
    if stopped.is_ok() {
        narrator.line("all servers stopped; `testnet up` continues, `testnet reset` removes all");
    }
    end.and(stopped)
}

async fn hold(network: &mut Network, up: &Up, narrator: Narrator) -> Result<()> {
    {
        let _busy = narrator.busy("starting the servers");
        network.start_all().await?;
    }
    show_servers(network, narrator);
    seed(network, up, narrator).await?;
    show_people(
        &network.plan().people,
        "Talk, from another terminal",
        narrator,
    );
    narrator.act("Ctrl-C stops the network");
    network.watch().await
}

async fn seed(network: &mut Network, up: &Up, narrator: Narrator) -> Result<()> {
    let new = names::newcomers(network.plan(), up.seed_people.as_deref())?;
    let busy = narrator.progress("registering people", new.len());
    for handle in new {
        Person::of(network, &handle).register().await?;
        network.remember_person(&handle)?;
        busy.step();
    }
    Ok(())
}

fn show_servers(network: &Network, narrator: Narrator) {
    narrator.act("Servers");
    for server in &network.plan().servers {
        let (quic, https, admin) = (server.quic_port, server.https_port, server.admin_port);
        narrator.line(&format!(
            "✓ {}  quic {quic}, https {https}, http://{}/readyz on {admin}",
            server.domain,
            server.admin()
        ));
    }
    narrator.line(&format!(
        "everything lies in {}",
        network.folder().root().display()
    ));
}
