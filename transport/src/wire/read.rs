//! Reading one field: the checks that every message shares.

use capnp::{data, data_list, text};
use entente_groups::{KeyPackageRef, MessageId, RoomId};
use entente_identity::{
    AccountDid, DeviceId, PublicKey, ServerDid, Signed, SignedBody, decode_exact,
};

use entente_protocol::entry::Entry;

use super::WireFault;

/// Longest KeyPackageRef: a hash of the widest suite.
const REFERENCE_MAX_BYTES: usize = 64;

type Read<T> = Result<T, capnp::Error>;

pub(super) fn fixed<const N: usize>(
    field: &'static str,
    data: Read<data::Reader<'_>>,
) -> Result<[u8; N], WireFault> {
    let data = data?;
    data.try_into().map_err(|_| WireFault::Size {
        field,
        expected: N,
        got: data.len(),
    })
}

pub(super) fn room(data: Read<data::Reader<'_>>) -> Result<RoomId, WireFault> {
    fixed("room id", data).map(RoomId)
}

pub(super) fn message_id(data: Read<data::Reader<'_>>) -> Result<MessageId, WireFault> {
    fixed("message id", data).map(MessageId)
}

pub(super) fn device(data: Read<data::Reader<'_>>) -> Result<DeviceId, WireFault> {
    fixed("device id", data).map(DeviceId)
}

pub(super) fn account(data: Read<data::Reader<'_>>) -> Result<AccountDid, WireFault> {
    let key: [u8; 32] = fixed("account", data)?;
    let key = PublicKey::from_slice(&key).map_err(|fault| WireFault::invalid("account", fault))?;
    Ok(AccountDid::new(key))
}

pub(super) fn key_package_ref(data: Read<data::Reader<'_>>) -> Result<KeyPackageRef, WireFault> {
    let data = data?;
    if data.is_empty() || data.len() > REFERENCE_MAX_BYTES {
        return Err(WireFault::TooLong {
            field: "KeyPackage reference",
            limit: REFERENCE_MAX_BYTES,
            got: data.len(),
        });
    }
    Ok(KeyPackageRef::new(data))
}

pub(super) fn server(
    field: &'static str,
    text: Read<text::Reader<'_>>,
) -> Result<ServerDid, WireFault> {
    let text = text?.to_str().map_err(|_| not_utf8(field))?;
    text.parse()
        .map_err(|fault| WireFault::invalid(field, fault))
}

pub(super) fn text(
    field: &'static str,
    limit: usize,
    text: Read<text::Reader<'_>>,
) -> Result<String, WireFault> {
    let text = text?.to_str().map_err(|_| not_utf8(field))?;
    check_length(field, limit, text.len())?;
    Ok(text.to_owned())
}

pub(super) fn signed<T: SignedBody>(data: Read<data::Reader<'_>>) -> Result<Signed<T>, WireFault> {
    Ok(Signed::from_bytes(data?)?)
}

pub(super) fn encoded<T: tls_codec::Deserialize>(
    what: &'static str,
    data: Read<data::Reader<'_>>,
) -> Result<T, WireFault> {
    Ok(decode_exact(what, data?)?)
}

pub(super) fn entry(data: Read<data::Reader<'_>>) -> Result<Entry, WireFault> {
    encoded("entry", data)
}

/// A list of byte strings, each made into something.
pub(super) fn data_list<T>(
    field: &'static str,
    limit: usize,
    list: Read<data_list::Reader<'_>>,
    element: impl Fn(Read<data::Reader<'_>>) -> Result<T, WireFault>,
) -> Result<Vec<T>, WireFault> {
    let list = list?;
    check_length(field, limit, list.len() as usize)?;
    list.iter().map(element).collect()
}

pub(super) fn bytes(data: Read<data::Reader<'_>>) -> Result<Vec<u8>, WireFault> {
    Ok(data?.to_vec())
}

pub(super) fn check_length(field: &'static str, limit: usize, got: usize) -> Result<(), WireFault> {
    if got > limit {
        return Err(WireFault::TooLong { field, limit, got });
    }
    Ok(())
}

pub(super) fn unknown(field: &'static str) -> impl Fn(capnp::NotInSchema) -> WireFault {
    move |capnp::NotInSchema(value)| WireFault::Unknown { field, value }
}

fn not_utf8(field: &'static str) -> WireFault {
    WireFault::invalid(field, "not UTF-8")
}
