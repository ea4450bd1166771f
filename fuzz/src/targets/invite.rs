//! Invitations: tickets, what is sealed to a device, what was sealed.

use entente_client_core::invite::{InviteBinding, InvitePayload, MAX_PROFILE_TEXT_BYTES};
use entente_groups::{
    HpkeSecretKey, Joiner, MAX_SEALED_BYTES, PublicRoom, Sealed, SealedKind, Ticket, judge_ticket,
};
use entente_identity::{AccountDid, Signed, decode_exact};

use super::log::canonical;
use crate::fixture::{NOW, is_genuine, item};
use crate::target::{Target, Verdict};

pub(super) const TICKETS: Target = Target {
    name: "tickets",
    run: tickets,
    checks: "A ticket that lets somebody into the room is one that a member signed, to the byte.",
    smoke_runs: 8_000,
};

pub(super) const SEALED_INVITES: Target = Target {
    name: "sealed_invites",
    run: sealed_invites,
    checks: "A sealed invitation has one encoding; one that opens was sealed, to the byte.",
    smoke_runs: 4_000,
};

pub(super) const INVITE_PAYLOADS: Target = Target {
    name: "invite_payloads",
    run: invite_payloads,
    checks: "A payload has one encoding, its texts are short, and it is for whom and from whom the \
             server says.",
    smoke_runs: 6_000,
};

thread_local! {
    static HUB: PublicRoom = PublicRoom::restore(item("classical/hub")).expect("a fixture");
}

fn tickets(input: &[u8]) -> Verdict {
    let Some(ticket) = canonical::<Signed<Ticket>>(input) else {
        return Verdict::Refused;
    };
    let Ok(body) = ticket.claimed_body() else {
        return Verdict::Refused;
    };
    let joiner = Joiner {
        account: body.invitee,
        list_version: u32::MAX,
    };
    let judged = HUB.with(|hub| {
        let inviter = hub.member(body.inviter_leaf);
        judge_ticket(&ticket, hub.room(), joiner, inviter, hub.policy(), NOW)
    });
    assert!(
        judged.is_err() || is_genuine("tickets", input),
        "no member signed this"
    );
    Verdict::of(&judged)
}

fn sealed_invites(input: &[u8]) -> Verdict {
    let Some(sealed) = canonical::<Sealed>(input) else {
        return Verdict::Refused;
    };
    let key = HpkeSecretKey::from_bytes(item("hpke").try_into().expect("32 bytes"));
    let opened = key.open(SealedKind::Invite, item("binding"), &sealed);
    if let Ok(payload) = &opened {
        assert!(is_genuine("sealed_invites", input), "nobody sealed this");
        assert!(payload.len() <= MAX_SEALED_BYTES);
    }
    Verdict::of(&opened)
}

fn invite_payloads(input: &[u8]) -> Verdict {
    let binding: InviteBinding = decode_exact("binding", item("binding")).expect("a fixture");
    let opened = InvitePayload::open(input, &binding);
    if let Ok(payload) = &opened {
        assert_eq!(payload.to_bytes(), input, "a payload has one encoding");
        assert!(payload.name().len() <= MAX_PROFILE_TEXT_BYTES);
        assert!(payload.topic().len() <= MAX_PROFILE_TEXT_BYTES);
        let ticket = payload.ticket.claimed_body().expect("it was opened");
        let named: (AccountDid, AccountDid) = (ticket.invitee, ticket.inviter);
        assert_eq!(named, (binding.account, binding.inviter));
    }
    Verdict::of(&opened)
}
