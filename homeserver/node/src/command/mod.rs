//! The command line of `entente-homeserver`.
//!
//! Every command returns its exit code: 0 done or healthy, 1 not. What people read goes to standard
//! output, what went wrong to standard error. To add a command: a variant here and a file beside.

mod check;
mod health;
mod init;
mod keys;
mod nodes;
mod peer_trust;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use entente_identity::Domain;

use crate::config::{Config, MigrationMode, process_environment};

/// Runs an organization's Entente homeserver.
#[derive(Debug, Parser)]
#[command(name = "entente-homeserver", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new server: its data folder, its keys and its configuration file.
    Init(Box<InitArgs>),
    /// Run the server.
    Serve(ServeArgs),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at the server's keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look at nodes and decide about other servers.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Ask the running server whether it is ready; exits with 0 if so.
    Health(ConfigArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the configuration and the files that it names, without starting.
    Check(ConfigArgs),
    /// Print a configuration with every setting and its documentation.
    Example,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Show the public keys.
    Show(ConfigArgs),
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Show the nodes of this server that live, and which of them drives the link to which other server.
    Nodes(ConfigArgs),
    /// Other homeservers.
    #[command(subcommand)]
    Peer(PeerCommand),
}

#[derive(Debug, Subcommand)]
enum PeerCommand {
    /// Which keys of another server are trusted.
    #[command(subcommand)]
    Trust(TrustCommand),
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Show what is pinned of a server's keys; exits with 1 if nothing is.
    Show(TrustArgs),
    /// Forget what is pinned of a server's keys: the next contact counts as the first one. Only after
    /// its administrator confirmed, by another way, that the server was set up anew.
    Reset(TrustArgs),
}

#[derive(Debug, Args)]
struct TrustArgs {
    /// The other organization's domain.
    domain: Domain,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file; without one, all settings come from the environment.
    #[arg(long, value_name = "FILE", env = "ENTENTE_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Do not start on a Postgres database of an older version, as if `store.migrations` were `refuse`.
    #[arg(long)]
    no_migrate: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct InitArgs {
    /// The organization's domain; it can never be changed.
    #[arg(long)]
    domain: Domain,
    /// The folder for keys and database.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The configuration file to write [default: homeserver.toml in the data folder].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// UDP address for clients and other servers.
    #[arg(long, value_name = "ADDRESS")]
    listen_quic: Option<SocketAddr>,
    /// TCP address for DID documents.
    #[arg(long, value_name = "ADDRESS")]
    listen_https: Option<SocketAddr>,
    /// TCP address for health checks.
    #[arg(long, value_name = "ADDRESS")]
    listen_admin: Option<SocketAddr>,
    /// The host that others connect to [default: the domain].
    #[arg(long, value_name = "HOST")]
    public_host: Option<Domain>,
    /// The UDP port that others connect to [default: the port of the UDP address].
    #[arg(long, value_name = "PORT")]
    public_port: Option<u16>,
    /// PEM file with the HTTPS certificate.
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's key.
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Does what the command line says.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Init(args) => init::run(&args),
            Command::Serve(args) => load(&args.config).and_then(|mut config| {
                if args.no_migrate {
                    config.store.migrations = MigrationMode::Refuse;
                }
                serve::run(config)
            }),
            Command::Config(ConfigCommand::Check(args)) => {
                load(&args).and_then(|config| check::run(&config, args.json))
            }
            Command::Config(ConfigCommand::Example) => check::example(),
            Command::Keys(KeysCommand::Show(args)) => {
                load(&args).and_then(|config| keys::run(&config, args.json))
            }
            Command::Admin(AdminCommand::Nodes(args)) => {
                load(&args).and_then(|config| nodes::run(&config, args.json))
            }
            Command::Admin(AdminCommand::Peer(PeerCommand::Trust(command))) => trust(&command),
            Command::Health(args) => load(&args).and_then(|config| health::run(&config, args.json)),
        };
        done.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })
    }
}

fn trust(command: &TrustCommand) -> anyhow::Result<ExitCode> {
    match command {
        TrustCommand::Show(args) => {
            let config = load(&args.config)?;
            peer_trust::show(&config, &args.domain, args.config.json)
        }
        TrustCommand::Reset(args) => {
            let config = load(&args.config)?;
            peer_trust::reset(&config, &args.domain, args.config.json)
        }
    }
}

fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    Ok(Config::load(args.config.as_deref(), process_environment())?)
}
