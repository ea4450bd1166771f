//! Who is who: domains, handles, DIDs, keys and the objects they sign.
//!
//! Purpose: the words in which every other crate speaks about identity, and the one place where a
//! signature becomes a fact. Everything here is a value or a pure function.
//!
//! Invariants
//! - Text has one canonical form: what parses prints back byte for byte, everything else is refused.
//! - A [`Signed`] object is a claim; only [`Signed::verify`] makes it a [`Verified`] fact.
//! - Ed25519 is verified strictly, in one place ([`PublicKey::verify`]).
//! - No clock, no randomness, no I/O: `now` is an argument, random sources are parameters.
//!
//! Absent: fetching documents (the `discovery` crate), MLS (the `groups` crate).

mod account;
mod codec;
mod device;
mod did;
mod document;
mod domain;
mod handle;
mod home;
mod key_document;
mod key_pin;
mod keys;
mod recovery;
mod signed;
mod time;

pub use account::{AccountClaim, AccountFault, VerifiedAccount};
pub use codec::{CodecFault, decode_exact, encode};
pub use device::{
    CertificateFault, Device, DeviceCertificate, DeviceId, DeviceList, DeviceListFault, DeviceRole,
    HpkePublicKey, VerifiedDevice, certify_device, first_device_list, verify_chain,
    verify_device_list,
};
pub use did::{AccountDid, DidFault, ServerDid, UserDid};
pub use document::{
    DocumentFault, MAX_DOCUMENT_BYTES, ServerDocument, ServiceEndpoint, UserDocument,
};
pub use domain::{Domain, DomainFault};
pub use handle::{Handle, HandleFault, LocalPart};
pub use home::{HomeRecord, HomeRecordFault, verify_home_record};
pub use key_document::{
    Endpoint, FederationKey, KEY_DOCUMENT_LIFETIME_MS, KeyDocument, KeyDocumentFault,
    verify_key_document,
};
pub use key_pin::{Judged, KeyPin, KeyPinFault, Named};
pub use keys::{KeyFault, PublicKey, Signature, SigningKey};
pub use recovery::{RecoveryFault, RecoveryWords, RootKey};
pub use signed::{
    Audience, CLOCK_TOLERANCE_MS, Kind, Signed, SignedBody, SignedFault, SigningContext, Verified,
};
pub use time::UnixMillis;
