//! DID documents, and what an account says about itself: device lists, certificates, home records.

use entente_identity::{
    AccountClaim, AccountDid, DeviceCertificate, DeviceList, Handle, HomeRecord,
    MAX_DOCUMENT_BYTES, ServerDid, ServerDocument, Signed, UserDocument, decode_exact,
    verify_chain, verify_device_list, verify_home_record,
};

use super::log::canonical;
use crate::fixture::{is_genuine_behind_the_first, item, signer};
use crate::target::{Target, Verdict};

pub(super) const SERVER_DOCUMENTS: Target = Target {
    name: "server_documents",
    run: server_documents,
    checks: "A server's document is within its bounds, names what was asked for, and reads the same \
             when it is written again.",
    smoke_runs: 6_000,
};

pub(super) const USER_DOCUMENTS: Target = Target {
    name: "user_documents",
    run: user_documents,
    checks: "A person's document names its account only with that account's own signatures, and reads \
             the same when it is written again.",
    smoke_runs: 4_000,
};

pub(super) const ACCOUNTS: Target = Target {
    name: "accounts",
    run: accounts,
    checks: "Claims, device lists, certificates and home records have one encoding; what verifies for \
             the account is what its keys signed, to the byte.",
    smoke_runs: 4_000,
};

fn server_documents(input: &[u8]) -> Verdict {
    let did: ServerDid = "did:web:org-a.example".parse().expect("a constant");
    let read = ServerDocument::parse(&did, input);
    if let Ok(document) = &read {
        assert!(input.len() <= MAX_DOCUMENT_BYTES);
        assert_eq!(document.did, did);
        // One key under two ids is written under one, its own.
        let mut once = document.clone();
        once.keys.sort();
        once.keys.dedup();
        assert_eq!(ServerDocument::parse(&did, &once.to_json()), Ok(once));
    }
    Verdict::of(&read)
}

fn user_documents(input: &[u8]) -> Verdict {
    let handle: Handle = "alice@org-a.example".parse().expect("a constant");
    let read = UserDocument::parse(&handle, input);
    if let Ok(document) = &read {
        assert_eq!(document.account.home.handle, handle);
        let claim = &document.account.claim;
        // Somebody else's account may be named: the handle is confirmed by both sides together.
        let known: AccountClaim = decode_exact("claim", item("claim")).expect("a seed");
        assert!(claim.account != known.account || same_statements(claim, &known));
        let written = UserDocument::to_json(&document.account);
        let again = UserDocument::parse(&handle, &written).expect("what was written");
        assert_eq!(again.account.claim, *claim);
    }
    Verdict::of(&read)
}

/// The first byte says what is expected.
fn accounts(input: &[u8]) -> Verdict {
    let Some((kind, bytes)) = input.split_first() else {
        return Verdict::Refused;
    };
    let shown = match kind % 4 {
        0 => claims(bytes),
        1 => device_lists(bytes),
        2 => chains(bytes),
        _ => home_records(bytes),
    };
    if shown != Some(own()) {
        return Verdict::Refused;
    }
    let one_statement = kind % 4 != 0;
    let known = is_genuine_behind_the_first("accounts", input);
    assert!(known || !one_statement, "the account did not sign this");
    Verdict::Accepted
}

fn own() -> AccountDid {
    AccountDid::new(signer().public())
}

/// What the account signed is the same; a chain that nobody needs may stand beside it.
fn same_statements(one: &AccountClaim, other: &AccountClaim) -> bool {
    one.device_list == other.device_list && one.home_record == other.home_record
}

/// Whose account the bytes say something about that verifies.
fn claims(bytes: &[u8]) -> Option<AccountDid> {
    let claim = canonical::<AccountClaim>(bytes)?;
    let verified = claim.verify();
    let known: AccountClaim = decode_exact("claim", item("claim")).expect("a seed");
    let others = verified.is_err() || claim.account != known.account;
    assert!(
        others || same_statements(&claim, &known),
        "its owner did not say this"
    );
    let _ = Verdict::of(&verified);
    verified.ok().map(|account| account.claim.account)
}

fn device_lists(bytes: &[u8]) -> Option<AccountDid> {
    let list = canonical::<Signed<DeviceList>>(bytes)?;
    let known: AccountClaim = decode_exact("claim", item("claim")).expect("a seed");
    let before = known.device_list.claimed_body().expect("a seed");
    let next = Some((&known.device_list, &before));
    let verified = verify_device_list(&own(), next, None, &list);
    let _ = Verdict::of(&verified);
    verified.ok().map(|list| list.body().account)
}

fn chains(bytes: &[u8]) -> Option<AccountDid> {
    let chain = canonical::<Vec<Signed<DeviceCertificate>>>(bytes)?;
    let verified = verify_chain(&own(), &chain);
    let _ = Verdict::of(&verified);
    verified.ok().map(|device| device.account)
}

fn home_records(bytes: &[u8]) -> Option<AccountDid> {
    let record = canonical::<Signed<HomeRecord>>(bytes)?;
    let verified = verify_home_record(&own(), [], &record);
    let _ = Verdict::of(&verified);
    verified.ok().map(|record| record.body().account)
}
