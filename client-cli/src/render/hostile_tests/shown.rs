//! Every result of the program that shows text of others.

use std::path::PathBuf;
use std::time::Duration;

use entente_sdk::{
    AccountDid, ConnectionState, Content, ContentId, DeviceId, Epoch, Event, EventRecord, Handle,
    HandleTrust, Invite, InviteId, InviteRight, Meaning, Message, MessageId, MessageState, Problem,
    ProblemKind, Role, RoomId, RoomState, RoomSummary, Sender, Seq, ServerStatus, Status, Suite,
    UnixMillis, WhoAmI,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::failure::{Exit, Failure};
use crate::render::event::{EventFact, RoomNames};
use crate::render::message::MessageFact;
use crate::render::person::WhoAmIFact;
use crate::render::room::{Deed, InviteFact, RoomDeed, RoomFact};
use crate::render::screen::{Fact, Row, table_text};
use crate::render::status::StatusFact;
use crate::render::{inert, json};

pub(super) const NOW: UnixMillis = UnixMillis(10_000);

fn alice() -> Handle {
    "alice@org-a.test".parse().unwrap()
}

fn account() -> AccountDid {
    "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
        .parse()
        .unwrap()
}

pub(super) fn message(content: Content) -> Message {
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
        own: true,
        state: MessageState::Stored,
        time: UnixMillis(1000),
        content,
    }
}

fn room(text: &str) -> RoomSummary {
    RoomSummary {
        id: RoomId([1; 32]),
        name: text.to_owned(),
        topic: text.to_owned(),
        suite: Suite::PostQuantum,
        hub: "did:web:org-a.test".parse().unwrap(),
        state: RoomState::Frozen,
        epoch: Epoch(3),
        members: 2,
        role: Role::Member,
        invite: InviteRight::Members,
        cursor: Seq(1),
        delivered: Seq(1),
        last_message: Some(UnixMillis(1)),
        unread: 1,
        waiting: 1,
    }
}

fn invite(text: &str) -> Invite {
    Invite {
        id: InviteId(1),
        room: RoomId([1; 32]),
        hub: "did:web:org-a.test".parse().unwrap(),
        name: text.to_owned(),
        topic: text.to_owned(),
        inviter: account(),
        inviter_handle: alice(),
        inviter_trust: HandleTrust::Claimed,
        received: UnixMillis(1),
        expires: UnixMillis(20_000),
    }
}

fn problem(text: &str) -> Event {
    Event::Problem(Problem {
        room: Some(RoomId([1; 32])),
        kind: ProblemKind::Forked,
        text: text.to_owned(),
    })
}

fn record(event: Event) -> EventRecord {
    EventRecord {
        position: 5,
        time: UnixMillis(9),
        event,
    }
}

/// Everything that a text of somebody else comes to people in, and to scripts.
pub(super) struct Shown {
    pub(super) texts: Vec<String>,
    pub(super) lines: Vec<String>,
}

impl Shown {
    pub(super) fn of(text: &str) -> Self {
        let mut shown = Self {
            texts: Vec::new(),
            lines: Vec::new(),
        };
        shown.messages(text);
        shown.events(text);
        shown.rooms(text);
        shown.others(text);
        shown
    }

    fn add(&mut self, fact: &impl Fact) {
        self.texts.push(fact.text(NOW));
        self.lines.push(json::line(fact));
    }

    fn rows<R: Row>(&mut self, row: R) {
        self.lines.push(json::line(&row));
        // Cells by themselves, too: a table may wrap or align what it is given.
        self.texts.extend(row.cells(NOW));
        self.texts.push(table_text(&[row]));
    }

    fn messages(&mut self, text: &str) {
        let mut rng = StdRng::seed_from_u64(1);
        let of = ContentId([3; 32]);
        let contents = [
            Content::text(text, &mut rng),
            Content::reply(of, text, &mut rng),
            Content::edit(of, text, &mut rng),
            Content::reaction(of, text, &mut rng),
            Content::room_profile(text, text, &mut rng),
            foreign(text),
        ];
        for content in contents {
            self.add(&MessageFact::dated(&message(content.clone())));
            self.add(&MessageFact::live(&message(content), Some(4)));
        }
    }

    fn events(&mut self, text: &str) {
        let names = RoomNames::of(&[room(text)]);
        let reason = || text.to_owned();
        let events = [
            Event::Message(message(Content::text(text, &mut StdRng::seed_from_u64(1)))),
            Event::RoomProfile {
                room: RoomId([1; 32]),
                name: text.to_owned(),
                topic: text.to_owned(),
                by: account(),
            },
            Event::Invite(invite(text)),
            problem(text),
            Event::Connection(ConnectionState::Waiting {
                reason: reason(),
                retry_in: Duration::from_secs(3),
            }),
            Event::Connection(ConnectionState::Rejected { reason: reason() }),
        ];
        for event in events {
            self.add(&EventFact::new(&record(event), &names));
        }
    }

    fn rooms(&mut self, text: &str) {
        self.rows(RoomFact::from(room(text)));
        self.rows(InviteFact::from(&invite(text)));
        for deed in [Deed::Created, Deed::Joined, Deed::Left, Deed::Resynced] {
            self.add(&RoomDeed::new(RoomId([1; 32]), text, deed));
        }
    }

    fn others(&mut self, text: &str) {
        let server = ServerStatus {
            server: "did:web:org-a.test".parse().unwrap(),
            version: text.to_owned(),
            time: UnixMillis(1),
            started: UnixMillis(1),
            waiting: 0,
            peers: Vec::new(),
        };
        let status = Status {
            connection: ConnectionState::Rejected {
                reason: text.to_owned(),
            },
            server: Some(server),
            outbox: Vec::new(),
            pending_rooms: vec![room(text)],
            problems: vec![record(problem(text))],
        };
        self.add(&StatusFact::new(alice().to_string(), status));
        self.add(&WhoAmIFact::from(WhoAmI {
            handle: alice(),
            account: account(),
            device: DeviceId([4; 16]),
            home: "did:web:org-a.test".parse().unwrap(),
            device_list_version: 1,
            registered: true,
            profile: PathBuf::from(text),
        }));
        let failure = Failure::new(Exit::Refused, text);
        let told = failure.told().unwrap();
        self.texts.push(inert::block(told.message(), "  "));
        self.lines.push(json::line(&told.report()));
    }
}

/// A message of a media type that no client shows: a text's bytes with another type in them.
fn foreign(media_type: &str) -> Content {
    const PLAIN: &[u8] = b"text/plain;charset=utf-8";
    let bytes = Content::text("", &mut StdRng::seed_from_u64(1)).to_cbor();
    let at = bytes
        .windows(PLAIN.len())
        .position(|window| window == PLAIN);
    let at = at.unwrap();
    // CBOR's text string, with its length in one byte more or in two (RFC 8949 §3).
    let head = match u16::try_from(media_type.len()).unwrap() {
        short @ 0..24 => vec![0x60 | short as u8],
        short @ 24..256 => vec![0x78, short as u8],
        long => [&[0x79], &long.to_be_bytes()[..]].concat(),
    };
    let parts = [
        &bytes[..at - 2],
        &head,
        media_type.as_bytes(),
        &bytes[at + PLAIN.len()..],
    ];
    let content = Content::from_cbor(&parts.concat()).unwrap();
    assert!(matches!(content.meaning(), Meaning::Unknown { .. }));
    content
}
