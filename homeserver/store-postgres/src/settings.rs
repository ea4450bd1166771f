//! Where the database is, and how it is spoken to.
//!
//! Invariant: a password is in no Debug and in no fault; the text of a URL is in no fault either,
//! since a password may have been put where it does not belong.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long a connection may take to come about.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After how long without an answer a silent network is taken for gone.
const SILENCE: Duration = Duration::from_secs(15);
/// How often it is asked whether it is there from then on, and how often in vain. Left to the system it
/// would be asked for more than ten minutes, and a commit whose answer is lost would hold everybody up.
const PROBE: Duration = Duration::from_secs(5);
/// The number of questions.
const PROBES: u32 = 3;
/// Connections for readers, unless told otherwise.
const READERS: usize = 8;

/// What to do with a database of an older version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migrations {
    /// Bring it up to date.
    Apply,
    /// Refuse it, and say what to do.
    Refuse,
}

/// Where the database is, and how it is spoken to.
#[derive(Clone)]
pub struct Settings {
    pub(crate) config: Config,
    pub(crate) migrations: Migrations,
    pub(crate) readers: usize,
    pub(crate) roots: Vec<CertificateDer<'static>>,
}

/// What is wrong with the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsFault {
    /// The URL is none.
    Unreadable,
    /// The URL names no host, no user or no database.
    Incomplete,
    /// The URL holds a password.
    Password,
    /// The connection leaves the machine, and the URL does not say whether it is encrypted.
    Encryption,
}

impl Settings {
    /// Reads a URL: `postgres://user@host:port/database?sslmode=require`, or with a folder of Unix
    /// sockets, `postgres://user@%2Fvar%2Frun%2Fpostgresql/database`. With `sslmode=require` the
    /// connection is encrypted and the server's certificate and name are checked; with
    /// `sslmode=disable` it is not encrypted. Only for a host on this machine neither need be said.
    ///
    /// # Errors
    /// [`SettingsFault`].
    pub fn parse(url: &str) -> Result<Self, SettingsFault> {
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let parsed = url.parse().ok().filter(|_| is_url);
        let mut config: Config = parsed.ok_or(SettingsFault::Unreadable)?;
        if config.get_password().is_some() {
            return Err(SettingsFault::Password);
        }
        let named = config.get_user().is_some() && config.get_dbname().is_some();
        if !named || config.get_hosts().is_empty() {
            return Err(SettingsFault::Incomplete);
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            // It protects from nobody who can change what is on the network.
            let addresses = config.get_hostaddrs();
            let is_local =
                config.get_hosts().iter().all(is_here) && addresses.iter().all(IpAddr::is_loopback);
            if !is_local {
                return Err(SettingsFault::Encryption);
            }
            config.ssl_mode(SslMode::Disable);
        }
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(SILENCE)
            .keepalives_interval(PROBE)
            .keepalives_retries(PROBES)
            .tcp_user_timeout(SILENCE);
        if config.get_application_name().is_none() {
            config.application_name("entente-homeserver");
        }
        Ok(Self {
            config,
            migrations: Migrations::Apply,
            readers: READERS,
            roots: Vec::new(),
        })
    }

    /// The password to log in with.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }

    /// What to do with a database of an older version; to begin with it is brought up to date.
    #[must_use]
    pub fn with_migrations(mut self, migrations: Migrations) -> Self {
        self.migrations = migrations;
        self
    }

    /// How many connections there are for readers at most, beside the writer's one.
    #[must_use]
    pub fn with_readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Certificate authorities that are trusted beside those of the system, in DER.
    #[must_use]
    pub fn with_roots(mut self, roots: Vec<CertificateDer<'static>>) -> Self {
        self.roots = roots;
        self
    }
}

/// Whether a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("hosts", &self.config.get_hosts())
            .field("ports", &self.config.get_ports())
            .field("database", &self.config.get_dbname())
            .field("user", &self.config.get_user())
            .field("ssl_mode", &self.config.get_ssl_mode())
            .field("migrations", &self.migrations)
            .field("readers", &self.readers)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SettingsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => {
                "is no URL of the form postgres://user@host:5432/database?sslmode=require; in user, \
                 host and database everything but letters, digits, `-`, `.`, `_` and `~` is written \
                 as %XX"
            }
            Self::Incomplete => {
                "names no host, no user or no database: postgres://user@host:5432/database"
            }
            Self::Password => "holds a password; it belongs into a file or a variable of its own",
            Self::Encryption => {
                "leads to another machine: add sslmode=require to encrypt and to check the \
                 certificate, or sslmode=disable to send everything in the clear"
            }
        })
    }
}

impl std::error::Error for SettingsFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(url: &str, expect: SettingsFault) {
        let fault = Settings::parse(url).expect_err(url);
        assert_eq!(fault, expect, "{url}");
        assert!(!fault.to_string().contains("hunter2"));
    }

    fn mode(url: &str, expect: SslMode) {
        let settings = Settings::parse(url).expect(url);
        assert_eq!(settings.config.get_ssl_mode(), expect, "{url}");
    }

    #[test]
    fn whether_it_is_encrypted_is_said_or_needless() {
        mode("postgres://e@localhost/e", SslMode::Disable);
        mode("postgres://e@127.0.0.2:5433/e", SslMode::Disable);
        mode("postgres://e@%2Frun%2Fpostgresql/e", SslMode::Disable);
        mode(
            "postgresql://e@localhost/e?sslmode=require",
            SslMode::Require,
        );
        mode(
            "postgres://e@db.example/e?sslmode=require",
            SslMode::Require,
        );
        mode(
            "postgres://e@db.example/e?sslmode=disable",
            SslMode::Disable,
        );
        refuse("postgres://e@db.example/e", SettingsFault::Encryption);
        refuse(
            "postgres://e@localhost,10.0.0.1/e",
            SettingsFault::Encryption,
        );
        let prefer = "postgres://e@db.example/e?sslmode=prefer";
        refuse(prefer, SettingsFault::Encryption);
    }

    #[test]
    fn a_url_is_whole_and_holds_no_password() {
        refuse("postgres://e:hunter2@localhost/e", SettingsFault::Password);
        refuse(
            "postgres://e@localhost/e?hunter2=1",
            SettingsFault::Unreadable,
        );
        refuse(
            "postgres://e@localhost/e?hostaddr=10.0.0.1",
            SettingsFault::Encryption,
        );
        refuse("host=localhost user=e dbname=e", SettingsFault::Unreadable);
        refuse("mysql://e@localhost/e", SettingsFault::Unreadable);
        refuse("", SettingsFault::Unreadable);
        refuse("postgres://localhost/e", SettingsFault::Incomplete);
        refuse("postgres://e@localhost", SettingsFault::Incomplete);
        refuse("postgres://e@/e", SettingsFault::Incomplete);
    }

    #[test]
    fn a_network_that_falls_silent_is_noticed_in_half_a_minute() {
        let settings = Settings::parse("postgres://e@db.example/e?sslmode=require");
        let config = settings.expect("a URL").config;
        assert!(config.get_keepalives());
        let interval = config.get_keepalives_interval().expect("it is set");
        let retries = config.get_keepalives_retries().expect("it is set");
        let noticed = config.get_keepalives_idle() + interval * retries;
        assert!(noticed <= Duration::from_secs(30), "{noticed:?}");
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = Settings::parse("postgres://e@localhost/e").expect("a URL");
        let shown = format!("{:?}", settings.with_password("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
