//! One cluster: made, started, asked, crashed, and removed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tempfile::TempDir;

use crate::PostgresFault;
use crate::installation::{Installation, run};

/// The user that owns everything in the cluster.
const OWNER: &str = "entente";
/// The name of the socket's file holds a port, also where none is listened on.
const SOCKET_PORT: u16 = 5432;

/// Waits until the pipe to it closes; then stops the database, whatever it does, and removes it.
const GUARD: &str =
    r#"read -r _; "$1" -D "$2/data" -m immediate stop >/dev/null 2>&1; cd /; rm -rf "$2""#;

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    installation: Installation,
    folder: PathBuf,
    port: u16,
    databases: AtomicU32,
    guard: Child,
}

/// The cluster that the tests of this process share, while one of them holds it.
static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

impl Postgres {
    /// The cluster that all tests of this process share; it is started by the first and ends with the
    /// last of those that hold it.
    ///
    /// # Errors
    /// No Postgres is installed, or it does not start.
    pub fn shared() -> Result<Arc<Self>, PostgresFault> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start(&[])?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// A cluster that nobody else uses, with these lines added to its configuration.
    ///
    /// # Errors
    /// No Postgres is installed, or it does not start.
    pub fn start(configuration: &[&str]) -> Result<Self, PostgresFault> {
        let installation = Installation::find()?;
        let port = free_port()?;
        let folder = folder(&installation)?;
        // From here on the guard removes what there is.
        let mut guard = installation.command("/bin/sh", &folder);
        guard
            .args(["-c", GUARD, "postgres-guard"])
            .arg(installation.program("pg_ctl"))
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let guard = guard.spawn().map_err(|error| fault("sh", &error))?;
        let cluster = Self {
            installation,
            folder,
            port,
            databases: AtomicU32::new(0),
            guard,
        };
        cluster.initialize(configuration)?;
        cluster.start_again()?;
        Ok(cluster)
    }

    fn initialize(&self, configuration: &[&str]) -> Result<(), PostgresFault> {
        let data = self.data();
        let mut initdb = self.command("initdb");
        initdb
            .arg("--pgdata")
            .arg(&data)
            .args(["--username", OWNER, "--auth", "trust"])
            .args(["--encoding", "UTF8", "--locale", "C"])
            // What is made here may be lost in a power cut; what is written later may not.
            .arg("--no-sync");
        run(&mut initdb)?;
        let mut lines = vec![
            format!("unix_socket_directories = '{}'", self.folder.display()),
            format!("port = {SOCKET_PORT}"),
            "listen_addresses = ''".to_owned(),
            "fsync = on".to_owned(),
            "synchronous_commit = on".to_owned(),
            "max_connections = 200".to_owned(),
            "shared_buffers = '32MB'".to_owned(),
        ];
        lines.extend(configuration.iter().map(|line| (*line).to_owned()));
        let file = data.join("postgresql.auto.conf");
        let written = fs::write(&file, lines.join("\n") + "\n");
        written.map_err(|error| fault(&file.display().to_string(), &error))
    }

    /// Starts the database again, after [`Postgres::crash`], and waits until it answers.
    ///
    /// # Errors
    /// It does not start; the fault holds the end of its log.
    pub fn start_again(&self) -> Result<(), PostgresFault> {
        let mut start = self.control();
        start.arg("--log").arg(self.log());
        start.args(["--wait", "--timeout", "60", "start"]);
        let started = run(&mut start);
        started.map(|_| ()).map_err(|PostgresFault(why)| {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            PostgresFault(format!("{why}\n{log}"))
        })
    }

    /// Ends the database as a crash does: at once, without writing anything more.
    ///
    /// # Errors
    /// It does not run.
    pub fn crash(&self) -> Result<(), PostgresFault> {
        let mut stop = self.control();
        stop.args(["--mode", "immediate", "--wait", "stop"]);
        run(&mut stop).map(|_| ())
    }

    /// Ends the database in order; whoever is connected is told to go.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop(&self) -> Result<(), PostgresFault> {
        let mut stop = self.control();
        stop.args(["--mode", "fast", "--wait", "stop"]);
        run(&mut stop).map(|_| ())
    }

    /// Makes an empty database, and gives its name.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn database(&self) -> Result<String, PostgresFault> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("entente_{number}");
        self.ask("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(name)
    }

    /// Makes a database that begins as a copy of another one, to which nobody is connected.
    ///
    /// # Errors
    /// The cluster refuses.
    pub fn copy_of(&self, original: &str) -> Result<String, PostgresFault> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("entente_{number}");
        let copy = format!("CREATE DATABASE {name} TEMPLATE {original}");
        self.ask("postgres", &copy)?;
        Ok(name)
    }

    /// Makes a backup of a database in use, as `pg_dump` does, restores it into an empty one, and gives its
    /// name.
    ///
    /// # Errors
    /// It cannot be dumped, or not be restored.
    pub fn restored_from(&self, original: &str) -> Result<String, PostgresFault> {
        let name = self.database()?;
        let file = self.folder.join(format!("{name}.sql"));
        let mut dump = self.command("pg_dump");
        dump.args(["--username", OWNER, "--host"])
            .arg(&self.folder)
            .args(["--port", &SOCKET_PORT.to_string(), "--file"])
            .arg(&file)
            .arg(original);
        run(&mut dump)?;
        self.ask(&name, &format!("\\i {}", file.display()))?;
        Ok(name)
    }

    /// Where a database is reached through the socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{OWNER}@{folder}:{SOCKET_PORT}/{database}")
    }

    /// A port on 127.0.0.1 that was free when the cluster was made, for a configuration that listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the cluster, in which its user may read what lies there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds lines to the configuration; most of them count from the next start on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, lines: &[String]) -> Result<(), PostgresFault> {
        let file = self.data().join("postgresql.auto.conf");
        let text = fs::read_to_string(&file).unwrap_or_default() + &lines.join("\n") + "\n";
        let written = fs::write(&file, text);
        written.map_err(|error| fault(&file.display().to_string(), &error))
    }

    /// Adds lines to the configuration and starts again.
    ///
    /// # Errors
    /// It does not start with them.
    pub fn reconfigure(&self, lines: &[String]) -> Result<(), PostgresFault> {
        self.configure(lines)?;
        self.stop()?;
        self.start_again()
    }

    /// What `psql` answers to a statement, bare.
    ///
    /// # Errors
    /// The statement fails.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String, PostgresFault> {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .args(["--set", "ON_ERROR_STOP=1", "--username", OWNER])
            .arg("--host")
            .arg(&self.folder)
            .args(["--port", &SOCKET_PORT.to_string()])
            .args(["--dbname", database, "--command", sql]);
        run(&mut psql).map(|answer| answer.trim_end().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn command(&self, program: &str) -> std::process::Command {
        let program = self.installation.program(program);
        self.installation.command(program, &self.folder)
    }

    fn control(&self) -> std::process::Command {
        let mut control = self.command("pg_ctl");
        control.arg("--pgdata").arg(self.data());
        control
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The guard's pipe closes; then it stops the database and removes the folder.
        drop(self.guard.stdin.take());
        let _ended = self.guard.wait();
    }
}

/// A folder that belongs to whom Postgres runs as.
fn folder(installation: &Installation) -> Result<PathBuf, PostgresFault> {
    let made = TempDir::with_prefix("entente-postgres-");
    let folder = made.map_err(|error| fault("a temporary folder", &error))?;
    if let Some((uid, gid)) = installation.user() {
        let given = chown(folder.path(), Some(uid), Some(gid));
        given.map_err(|error| fault(&folder.path().display().to_string(), &error))?;
    }
    // From here on it is the guard's to remove, also when this process does not come to that.
    Ok(folder.keep())
}

fn free_port() -> Result<u16, PostgresFault> {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    let address = bound.map_err(|error| fault("a port on 127.0.0.1", &error))?;
    Ok(address.port())
}

fn fault(about: &str, error: &std::io::Error) -> PostgresFault {
    PostgresFault(format!("{about}: {error}"))
}
