//! Our words as columns, and back.

use std::str::FromStr;

use entente_identity::{AccountDid, PublicKey, decode_exact};
use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlError, Type, ValueRef};
use tls_codec::Deserialize;

use crate::error::VaultError;

/// A text column with a canonical form.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: FromStr> FromSql for Text<T> {
    fn column_result(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        let text = value.as_str()?;
        text.parse()
            .map(Self)
            .map_err(|_| FromSqlError::InvalidType)
    }
}

/// An account, stored as its root key.
pub(crate) struct Root(pub(crate) AccountDid);

impl FromSql for Root {
    fn column_result(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        PublicKey::from_slice(value.as_blob()?)
            .map(|key| Self(AccountDid::new(key)))
            .map_err(|_| FromSqlError::InvalidType)
    }
}

/// A value in the TLS presentation language.
pub(crate) struct Tls<T>(pub(crate) T);

impl<T: Deserialize> FromSql for Tls<T> {
    fn column_result(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        decode_exact("stored value", value.as_blob()?)
            .map(Self)
            .map_err(|_| FromSqlError::InvalidType)
    }
}

/// A column whose number or bytes mean nothing.
pub(crate) fn senseless(index: usize, what: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Blob, what.into())
}

/// A column that holds a number of a closed list.
pub(crate) fn of_number<T>(
    row: &Row<'_>,
    index: usize,
    read: impl Fn(u8) -> Option<T>,
) -> rusqlite::Result<T> {
    read(row.get(index)?).ok_or_else(|| senseless(index, "a number that names nothing"))
}

/// Turns "no row" into `None`.
pub(crate) fn optional<T>(result: rusqlite::Result<T>) -> Result<Option<T>, VaultError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
