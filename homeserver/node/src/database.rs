//! The database server that the configuration names, with what is needed to log in there.

use std::path::Path;

use anyhow::{Context, bail};
use entente_homeserver_store_postgres::{Migrations, PostgresStore, Settings};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::config::{MigrationMode, Store};
use crate::data_dir::{Readers, read_secret};

/// Connects to it, and brings it up to date unless that is not wanted.
///
/// # Errors
/// A file is not usable, the database cannot be reached, or it may not be used as it is.
pub fn open(store: &Store) -> anyhow::Result<PostgresStore> {
    let opened = PostgresStore::open(&settings(store)?);
    opened.context("cannot open the database on the Postgres server")
}

/// Looks whether it could be opened, and changes nothing.
///
/// # Errors
/// Those of [`open`].
pub fn check(store: &Store) -> anyhow::Result<()> {
    let checked = PostgresStore::check(&settings(store)?);
    checked.context("cannot open the database on the Postgres server")
}

fn settings(store: &Store) -> anyhow::Result<Settings> {
    let url = store.url.as_deref().context("store.url is missing")?;
    let migrations = match store.migrations {
        MigrationMode::Apply => Migrations::Apply,
        MigrationMode::Refuse => Migrations::Refuse,
    };
    let mut settings = Settings::parse(url).context("store.url")?;
    settings = settings.with_migrations(migrations);
    if let Some(file) = &store.password_file {
        let bytes = read_secret(file, Readers::Group).context("the database password")?;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
        let password = std::str::from_utf8(line.trim_ascii());
        let password = password.context("the database password is no UTF-8")?;
        if password.is_empty() {
            bail!(
                "the database password: the first line of {} is empty",
                file.display()
            );
        }
        settings = settings.with_password(password);
    }
    if let Some(file) = &store.authority {
        settings = settings.with_roots(authorities(file)?);
    }
    Ok(settings)
}

fn authorities(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let unusable = || format!("the database's certificate authority: {}", file.display());
    let found = CertificateDer::pem_file_iter(file).with_context(unusable)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().with_context(unusable)?;
    if found.is_empty() {
        bail!("{} holds no certificate", file.display());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use entente_testnet_postgres::Postgres;

    use super::*;
    use crate::config::StoreKind;
    use crate::data_dir::write_secret;

    fn store(url: String) -> Store {
        Store {
            kind: StoreKind::Postgres,
            path: "unused".into(),
            url: Some(url),
            password_file: None,
            authority: None,
            migrations: MigrationMode::Refuse,
            keep_days: 0,
        }
    }

    #[test]
    fn a_database_is_migrated_only_when_that_is_wanted() {
        let postgres = Postgres::shared().expect("a Postgres");
        let database = postgres.database().expect("a database");
        let mut store = store(postgres.url(&database));
        let refused = format!("{:#}", check(&store).expect_err("it is empty"));
        assert!(refused.contains("not to migrate"), "{refused}");
        assert!(open(&store).is_err());
        store.migrations = MigrationMode::Apply;
        check(&store).expect("it may be migrated");
        drop(open(&store).expect("it is migrated"));
        store.migrations = MigrationMode::Refuse;
        drop(open(&store).expect("it is up to date"));
    }

    #[test]
    fn what_is_not_there_is_told_without_the_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().display().to_string().replace('/', "%2F");
        let mut store = store(format!("postgres://e@{socket}/e"));
        let file = folder.path().join("password");
        write_secret(&file, b"hunter2\n").expect("written");
        store.password_file = Some(file.clone());
        let told = format!("{:#}", check(&store).expect_err("nobody listens"));
        assert!(told.contains("cannot answer now"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        std::fs::remove_file(&file).expect("removed");
        write_secret(&file, b"\n").expect("written");
        let told = format!("{:#}", check(&store).expect_err("no password"));
        assert!(told.contains("is empty"), "{told}");
    }
}
