//! What a message says: MIMI content (draft-ietf-mimi-content-08), CBOR inside MLS.
//!
//! Only clients read this. A message is [`Content`]: a salt, what it refers to, and a tree of parts.
//! Parts and dispositions that are not known are kept and printed back, so that a newer client's
//! message survives an older one. To add a body that this client makes: a constructor on [`Content`]
//! and, if it means something to the reader, a variant of [`Meaning`].

mod cbor;

use rand::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};

pub use cbor::ContentFault;

/// The media type of plain text.
pub const TEXT_PLAIN: &str = "text/plain;charset=utf-8";
/// The media type of text with Markdown.
pub const TEXT_MARKDOWN: &str = "text/markdown;variant=GFM-MIMI";
/// The media type of a room's profile: UTF-8 JSON `{"name": …, "topic": …}`.
pub const ROOM_PROFILE: &str = "application/vnd.entente.room-profile+json";

/// A message's content.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Random; makes equal messages different.
    pub salt: [u8; 16],
    /// The message that this one edits, deletes or un-reacts.
    pub replaces: Option<ContentId>,
    /// Groups messages into a topic; empty for none.
    pub topic_id: Vec<u8>,
    /// When the message is to disappear.
    pub expires: Option<Expiration>,
    /// The message that this one answers or reacts to.
    pub in_reply_to: Option<ContentId>,
    /// Extensions, as CBOR, by key; kept as they came.
    pub extensions: Vec<(ciborium::Value, ciborium::Value)>,
    /// The body.
    pub part: NestedPart,
}

/// Names a message by its content: hash algorithm 1 and 31 bytes of SHA-256 (draft §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentId(pub [u8; 32]);

/// When a message is to disappear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiration {
    /// Whether the time counts from reading, instead of from the Unix epoch.
    pub relative: bool,
    /// Seconds.
    pub time_s: u32,
}

/// A part of a message's body.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedPart {
    /// What is to be done with it.
    pub disposition: Disposition,
    /// Its language, as a BCP 47 tag; empty if not said.
    pub language: String,
    /// What it holds.
    pub body: PartBody,
}

/// What is to be done with a part, by its number; those not named here are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disposition(pub u8);

impl Disposition {
    /// Shown as a message.
    pub const RENDER: Self = Self(1);
    /// A reaction to the message in `in_reply_to`.
    pub const REACTION: Self = Self(2);
    /// A profile of a person or room.
    pub const PROFILE: Self = Self(3);
    /// To be saved or opened.
    pub const ATTACHMENT: Self = Self(6);
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq)]
pub enum PartBody {
    /// Nothing: the message before is deleted.
    Null,
    /// Bytes of a media type.
    Single {
        /// The media type.
        content_type: String,
        /// The bytes.
        content: Vec<u8>,
    },
    /// Something that lies elsewhere, encrypted: the array's members, as they came.
    External(Vec<ciborium::Value>),
    /// Several parts.
    Multi {
        /// 0 choose one, 1 a single unit, 2 process all.
        semantics: u8,
        /// The parts, at least two.
        parts: Vec<NestedPart>,
    },
}

/// What a message means to its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A text, perhaps an answer to or an edit of another message.
    Text(String),
    /// A reaction to the message in `in_reply_to`.
    Reaction(String),
    /// The message in `replaces` is withdrawn.
    Deleted,
    /// The room's name and topic.
    RoomProfile {
        /// The name.
        name: String,
        /// The topic.
        topic: String,
    },
    /// Something that this client cannot show; kept as it is.
    Unknown {
        /// A description: its media type, or "external content".
        kind: String,
    },
}

impl Content {
    /// A plain text message.
    pub fn text(text: &str, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let part = single(Disposition::RENDER, TEXT_PLAIN, text.as_bytes().to_vec());
        Self::of(part, rng)
    }

    /// A text that answers another message.
    pub fn reply(to: ContentId, text: &str, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        Self {
            in_reply_to: Some(to),
            ..Self::text(text, rng)
        }
    }

    /// A text in place of an earlier one.
    pub fn edit(of: ContentId, text: &str, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        Self {
            replaces: Some(of),
            ..Self::text(text, rng)
        }
    }

    /// Withdraws an earlier message.
    pub fn delete(what: ContentId, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let part = NestedPart {
            disposition: Disposition::RENDER,
            language: String::new(),
            body: PartBody::Null,
        };
        Self {
            replaces: Some(what),
            ..Self::of(part, rng)
        }
    }

    /// A reaction to an earlier message.
    pub fn reaction(to: ContentId, emoji: &str, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let part = single(Disposition::REACTION, TEXT_PLAIN, emoji.as_bytes().to_vec());
        Self {
            in_reply_to: Some(to),
            ..Self::of(part, rng)
        }
    }

    /// A room's name and topic, posted by a member for those who come after.
    pub fn room_profile(name: &str, topic: &str, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let json = format!(
            "{{\"name\":{},\"topic\":{}}}",
            cbor::json_string(name),
            cbor::json_string(topic)
        );
        let part = single(Disposition::PROFILE, ROOM_PROFILE, json.into_bytes());
        Self::of(part, rng)
    }

    fn of(part: NestedPart, rng: &mut (impl CryptoRng + RngCore)) -> Self {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        Self {
            salt,
            replaces: None,
            topic_id: Vec::new(),
            expires: None,
            in_reply_to: None,
            extensions: Vec::new(),
            part,
        }
    }

    /// The content as CBOR.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        cbor::write(self)
    }

    /// Reads CBOR.
    ///
    /// # Errors
    /// No MIMI content, nested too deeply, or trailing bytes.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, ContentFault> {
        cbor::read(bytes)
    }

    /// What the message means to its reader.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        if self.part.body == PartBody::Null && self.replaces.is_some() {
            return Meaning::Deleted;
        }
        meaning_of(&self.part)
    }

    /// The message's name, for replies, edits and reactions (draft §3.3): over sender and room URI,
    /// both length-prefixed (u16), the content's bytes and its salt.
    #[must_use]
    pub fn id(&self, sender_uri: &str, room_uri: &str) -> ContentId {
        let mut hasher = Sha256::new();
        for uri in [sender_uri, room_uri] {
            let length = u16::try_from(uri.len()).unwrap_or(u16::MAX);
            hasher.update(length.to_be_bytes());
            hasher.update(uri);
        }
        hasher.update(self.to_cbor());
        hasher.update(self.salt);
        let mut id = [1; 32];
        id[1..].copy_from_slice(&hasher.finalize()[..31]);
        ContentId(id)
    }
}

fn single(disposition: Disposition, content_type: &str, content: Vec<u8>) -> NestedPart {
    NestedPart {
        disposition,
        language: String::new(),
        body: PartBody::Single {
            content_type: content_type.to_owned(),
            content,
        },
    }
}

fn meaning_of(part: &NestedPart) -> Meaning {
    match &part.body {
        PartBody::Null => Meaning::Unknown {
            kind: "nothing".to_owned(),
        },
        PartBody::External(_) => Meaning::Unknown {
            kind: "external content".to_owned(),
        },
        PartBody::Single {
            content_type,
            content,
        } => single_meaning(part.disposition, content_type, content),
        PartBody::Multi { parts, .. } => parts
            .iter()
            .map(meaning_of)
            .find(|meaning| !matches!(meaning, Meaning::Unknown { .. }))
            .unwrap_or(Meaning::Unknown {
                kind: "several parts".to_owned(),
            }),
    }
}

fn single_meaning(disposition: Disposition, content_type: &str, content: &[u8]) -> Meaning {
    let text = std::str::from_utf8(content).ok();
    let kind = content_type.split(';').next().unwrap_or(content_type);
    match (kind, text) {
        ("text/plain" | "text/markdown", Some(text)) if disposition == Disposition::REACTION => {
            Meaning::Reaction(text.to_owned())
        }
        ("text/plain" | "text/markdown", Some(text)) => Meaning::Text(text.to_owned()),
        (ROOM_PROFILE, Some(text)) => cbor::profile(text).unwrap_or_else(|| Meaning::Unknown {
            kind: content_type.to_owned(),
        }),
        _ => Meaning::Unknown {
            kind: content_type.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn check(content: &Content, expect: &Meaning) {
        let bytes = content.to_cbor();
        let again = Content::from_cbor(&bytes).expect("own content");
        assert_eq!(&again, content);
        assert_eq!(&again.meaning(), expect);
        assert_eq!(again.to_cbor(), bytes);
    }

    #[test]
    fn each_kind_of_content_reads_back() {
        let id = ContentId([1; 32]);
        let text = |t: &str| Meaning::Text(t.to_owned());
        check(&Content::text("hello", &mut rng()), &text("hello"));
        check(&Content::reply(id, "yes", &mut rng()), &text("yes"));
        check(&Content::edit(id, "no", &mut rng()), &text("no"));
        check(&Content::delete(id, &mut rng()), &Meaning::Deleted);
        check(
            &Content::reaction(id, "👍", &mut rng()),
            &Meaning::Reaction("👍".to_owned()),
        );
        check(
            &Content::room_profile("Tea \"and\" \\ cake\n", "", &mut rng()),
            &Meaning::RoomProfile {
                name: "Tea \"and\" \\ cake\n".to_owned(),
                topic: String::new(),
            },
        );
    }

    #[test]
    fn unknown_kinds_are_kept() {
        let mut content = Content::text("x", &mut rng());
        content.extensions = vec![("future".into(), ciborium::Value::Bool(true))];
        content.part = NestedPart {
            disposition: Disposition(200),
            language: "de".to_owned(),
            body: PartBody::Multi {
                semantics: 0,
                parts: vec![
                    single(Disposition(99), "application/future", vec![1, 2]),
                    single(Disposition::RENDER, TEXT_MARKDOWN, b"*hi*".to_vec()),
                ],
            },
        };
        check(&content, &Meaning::Text("*hi*".to_owned()));
    }

    #[test]
    fn golden_bytes_of_a_text() {
        let content = Content {
            salt: [7; 16],
            ..Content::text("hi", &mut rng())
        };
        let expect = "87500707070707070707070707070707070\
                      7f640f6f6a08501600178\
                      18746578742f706c61696e3b636861727365743d7574662d38426869";
        let expect: String = expect.split_whitespace().collect();
        assert_eq!(hex::encode(content.to_cbor()), expect);
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Content::from_cbor(&bytes);
        }
    }
}
