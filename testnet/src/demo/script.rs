//! Who is in the play, and what is said in it. Every text is unique, so that it can be told apart from
//! any other and looked for in what servers wrote.

use anyhow::Result;
use rand::RngCore;
use rand::rngs::OsRng;

use crate::cast::{Person, names};
use crate::network::Network;
use crate::verdict::Said;

/// The one who founds the room.
pub const ALICE: usize = 0;
/// The one who is invited, and whose server is killed.
pub const BOB: usize = 1;
/// The one who is added, and removed.
pub const CAROL: usize = 2;

/// What is said in the three rounds, by speaker.
const LINES: [[&str; 3]; 3] = [
    [
        "The harbour opens at nine, who brings the maps?",
        "Then we meet under the crane.",
        "Only the two of us know the second part.",
    ],
    [
        "I bring the maps and a thermos.",
        "The crane is fine, mind the tide.",
        "Good, then nobody else will be there.",
    ],
    [
        "I take the ferry and arrive ten past.",
        "Save me a cup of tea.",
        "",
    ],
];

/// The play's text as it is being played.
pub struct Script {
    people: [Person; 3],
    /// The room's name.
    pub room: String,
    /// Everything said so far.
    pub said: Vec<Said>,
    /// Everybody's recovery words.
    pub words: Vec<String>,
}

impl Script {
    /// Three people on three servers, nothing said yet.
    ///
    /// # Errors
    /// When the network has fewer than three servers.
    pub fn new(network: &Network) -> Result<Self> {
        let handles = names::one_per_server(network.plan())?;
        let people: Vec<Person> = handles.iter().map(|h| Person::of(network, h)).collect();
        let people = people.try_into();
        let people = people.map_err(|_| anyhow::anyhow!("the play needs three servers"))?;
        Ok(Self {
            people,
            room: unique("Harbour plans"),
            said: Vec::new(),
            words: Vec::new(),
        })
    }

    /// One of the people.
    pub fn person(&self, index: usize) -> &Person {
        &self.people[index]
    }

    /// Alice, Bob and Carol.
    pub fn people(&self) -> [Person; 3] {
        self.people.clone()
    }

    /// What a speaker says in a round, for these readers.
    pub fn line(&mut self, speaker: usize, round: usize, readers: &[usize]) -> String {
        let text = unique(LINES[speaker][round]);
        self.note(&text, readers);
        text
    }

    /// A quick succession of messages, for these readers.
    pub fn barrage(&mut self, speaker: usize, count: usize, readers: &[usize]) -> Vec<String> {
        let name = self.people[speaker].name().to_owned();
        let texts: Vec<String> = (1..=count)
            .map(|number| unique(&format!("{name} counts the waves: {number}")))
            .collect();
        for text in &texts {
            self.note(text, readers);
        }
        texts
    }

    /// All texts that a reader has to have.
    pub fn texts_for(&self, reader: usize) -> Vec<String> {
        let for_reader = self
            .said
            .iter()
            .filter(|said| said.readers.contains(&reader));
        for_reader.map(|said| said.text.clone()).collect()
    }

    fn note(&mut self, text: &str, readers: &[usize]) {
        self.said.push(Said {
            text: text.to_owned(),
            readers: readers.to_vec(),
        });
    }
}

fn unique(text: &str) -> String {
    let mut token = [0; 5];
    OsRng.fill_bytes(&mut token);
    format!("{text} [{}]", hex::encode(token))
}
