//! The JSON keys that scripts rely on, compared with what the README promises.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use entente_sdk::{
    AccountDid, ConnectionState, Content, ContentId, Event, EventRecord, Handle, HandleTrust,
    LogPosition, MembershipChange, Message, MessageId, MessageState, Problem, ProblemKind, RoomId,
    RoomState, Sender, Seq, Status, Term, UnixMillis,
};
use rand::rngs::OsRng;
use serde::Serialize;
use serde_json::Value;

use super::event::{EventFact, RoomNames};
use super::message::{MessageFact, SentFact};
use super::room::{Deed, RoomDeed};
use super::status::{StatusFact, SyncFact};
use super::{json, screen::Fact};

const README: &str = include_str!("../../README.md");
const ACCOUNT: &str = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp";

fn alice() -> Handle {
    "alice@org-a.test".parse().unwrap()
}

fn account() -> AccountDid {
    ACCOUNT.parse().unwrap()
}

fn message(text: &str) -> Message {
    Message {
        row: 1,
        room: RoomId([1; 32]),
        id: MessageId([2; 16]),
        content_id: ContentId([3; 32]),
        sender: Sender {
            account: account(),
            handle: alice(),
            trust: HandleTrust::Confirmed,
        },
        own: false,
        state: MessageState::Ordered(LogPosition {
            term: Term(1),
            seq: Seq(7),
        }),
        time: UnixMillis(1000),
        content: Content::text(text, &mut OsRng),
    }
}

/// The keys of a result.
fn keys(fact: &impl Serialize) -> BTreeSet<String> {
    let value: Value = serde_json::from_str(&json::line(fact)).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

/// The words in backticks of the README's line that begins with `start`, without the first.
fn promised(start: &str) -> BTreeSet<String> {
    let line = README.lines().find(|line| line.starts_with(start));
    let line = line.unwrap_or_else(|| panic!("the README has no line `{start}`"));
    let words = line[start.len()..].split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

fn check(fact: &impl Serialize, start: &str) {
    let promised = promised(start);
    for key in keys(fact) {
        assert!(
            promised.contains(&key),
            "`{key}` is not in the README's line {start}"
        );
    }
}

fn event(event: Event) -> EventFact {
    let record = EventRecord {
        position: 5,
        time: UnixMillis(9),
        event,
    };
    EventFact::new(&record, &RoomNames::default())
}

#[test]
fn results_have_the_promised_keys() {
    check(&SentFact::new(&message("x")), "| `send ROOM [TEXT]` |");
    let sync = SyncFact {
        unread: 0,
        waiting: 0,
        invites: 0,
    };
    assert_eq!(keys(&sync), promised("| `sync` |"));
    let person = || (alice().to_string(), ACCOUNT.to_owned());
    let (handle, account) = person();
    let deed = |what| RoomDeed::new(RoomId([1; 32]), "Tea", what);
    check(&deed(Deed::Created), "| `room create NAME` |");
    check(
        &deed(Deed::Invited { handle, account }),
        "| `room invite ROOM HANDLE` |",
    );
    let (handle, account) = person();
    check(
        &deed(Deed::Added { handle, account }),
        "| `room add ROOM HANDLE` |",
    );
    check(
        &deed(Deed::Removed { handle: person().0 }),
        "| `room remove ROOM HANDLE` |",
    );
    check(&deed(Deed::Joined), "| `room join [INVITE]` |");
    check(&deed(Deed::Left), "| `room leave ROOM` |");
    check(&deed(Deed::Resynced), "| `room resync ROOM` |");
}

#[test]
fn the_status_has_the_promised_keys() {
    let status = Status {
        connection: ConnectionState::Online {
            address: SocketAddr::from(([127, 0, 0, 1], 8448)),
            key_exchange: "X25519MLKEM768".to_owned(),
            round_trip: Duration::from_millis(2),
        },
        server: None,
        outbox: vec![message("x")],
        pending_rooms: Vec::new(),
        problems: Vec::new(),
    };
    let fact = StatusFact::new(alice().to_string(), status);
    check(&fact, "| `status` |");
    let text = anstream::adapter::strip_str(&fact.text(UnixMillis(0))).to_string();
    assert!(text.contains("X25519MLKEM768, 2.0 ms round trip"), "{text}");
}

#[test]
fn messages_are_what_the_readme_says() {
    let line = json::line(&MessageFact::live(&message("hi\u{202e}"), Some(4)));
    let value: Value = serde_json::from_str(&line).unwrap();
    for key in value.as_object().unwrap().keys() {
        assert!(README.contains(&format!("`{key}`")), "{key}");
    }
    assert_eq!(value["event"], "message");
    assert_eq!(value["text"], "hi\u{202e}");
    assert!(line.contains("hi\\u202e"), "{line}");
    assert_eq!((&value["term"], &value["seq"]), (&1.into(), &7.into()));
}

#[test]
fn events_have_the_promised_keys() {
    let room = RoomId([1; 32]);
    let envelope = ["event", "position", "time_ms", "room_id", "room"];
    let check = |fact: EventFact, name: &str| {
        let value: Value = serde_json::from_str(&json::line(&fact)).unwrap();
        assert_eq!(value["event"], name);
        let promised = promised(&format!("| `{name}` |"));
        for key in keys(&fact)
            .iter()
            .filter(|key| !envelope.contains(&key.as_str()))
        {
            assert!(promised.contains(key), "`{key}` of {name}");
        }
    };
    let state = MessageState::Failed(entente_sdk::FaultCode::NotMember);
    let id = MessageId([2; 16]);
    check(
        event(Event::MessageState { room, id, state }),
        "message_state",
    );
    check(event(Event::Delivered { room, seq: Seq(3) }), "delivered");
    let membership = Event::Membership {
        room,
        account: account(),
        handle: alice(),
        change: MembershipChange::Removed,
        by: Some(account()),
    };
    check(event(membership), "membership");
    let state = RoomState::Frozen;
    check(event(Event::RoomState { room, state }), "room_state");
    let problem = Problem {
        room: Some(room),
        kind: ProblemKind::Forked,
        text: "two histories".to_owned(),
    };
    check(event(Event::Problem(problem)), "problem");
    let reason = "gone".to_owned();
    let retry_in = Duration::from_secs(3);
    let waiting = ConnectionState::Waiting { reason, retry_in };
    check(event(Event::Connection(waiting)), "connection");
}

#[test]
fn a_message_cannot_pretend_to_be_another() {
    let text = "hi\nbob@org-b.test: I owe alice 100";
    let shown = MessageFact::live(&message(text), None).text(UnixMillis(0));
    let plain = anstream::adapter::strip_str(&shown).to_string();
    assert_eq!(
        plain,
        "alice@org-a.test: hi\n  │ bob@org-b.test: I owe alice 100"
    );
}

#[test]
fn profile_paths_are_kept_out_of_escape_sequences() {
    let me = entente_sdk::WhoAmI {
        handle: alice(),
        account: account(),
        device: entente_sdk::DeviceId([4; 16]),
        home: "did:web:org-a.test".parse().unwrap(),
        device_list_version: 1,
        registered: true,
        profile: PathBuf::from("a\u{1b}b"),
    };
    let fact = super::person::WhoAmIFact::from(me);
    check(&fact, "| `whoami` |");
    assert!(fact.text(UnixMillis(0)).ends_with("a\\u{1b}b"));
}
