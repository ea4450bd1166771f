//! Whether all that was said arrived at everybody who had to read it, once, and in one order.
//!
//! Texts are unique within a play, so what people have in the end is judged by the texts themselves and
//! not by any id or position that the programs under judgment made up.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

/// Something that was said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The text; no other message of the play has the same.
    pub text: String,
    /// Who had to read it, the sender included, as indices into the readers.
    pub readers: Vec<usize>,
}

/// What everything came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Messages that were said.
    pub sent: usize,
    /// Messages that everybody has who had to read them.
    pub delivered: usize,
    /// Messages that somebody lacks who had to read them.
    pub lost: usize,
    /// Copies beyond the first, over all readers.
    pub duplicated: usize,
    /// Messages that somebody has who had no part in them, or that nobody said.
    pub strayed: usize,
    /// Whether any two readers have what they share in the same order.
    pub order_agrees: bool,
}

/// What a play came to, as scripts read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What everything came to.
    #[serde(flatten)]
    pub tally: Tally,
    /// Secrets that a server kept, which it must not know.
    pub leaks: usize,
    /// The room's cipher suite, as MLS names it.
    pub suite: String,
    /// The key exchange of the clients' connections.
    pub tls_group: String,
    /// How many servers took part.
    pub servers: usize,
    /// In what they keep what they hold.
    pub store: String,
    /// How often a server was killed.
    pub kills: usize,
    /// From what the accidents were drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How long the play took.
    pub seconds: f64,
}

impl Tally {
    /// Compares what was said with what each reader has, in the reader's order.
    #[must_use]
    pub fn of(said: &[Said], heard: &[Vec<String>]) -> Self {
        let counts: Vec<HashMap<&str, usize>> = heard.iter().map(|texts| count(texts)).collect();
        let has = |reader: usize, text: &str| counts[reader].get(text).copied().unwrap_or(0);
        let delivered = said
            .iter()
            .filter(|said| {
                said.readers
                    .iter()
                    .all(|reader| has(*reader, &said.text) > 0)
            })
            .count();
        let strangers = |said: &&Said| {
            let mut others = (0..heard.len()).filter(|reader| !said.readers.contains(reader));
            others.any(|reader| has(reader, &said.text) > 0)
        };
        let known: HashSet<&str> = said.iter().map(|said| said.text.as_str()).collect();
        let heard_of: HashSet<&str> = counts.iter().flat_map(HashMap::keys).copied().collect();
        Self {
            sent: said.len(),
            delivered,
            lost: said.len() - delivered,
            duplicated: counts.iter().flat_map(HashMap::values).map(|n| n - 1).sum(),
            strayed: said.iter().filter(strangers).count() + heard_of.difference(&known).count(),
            order_agrees: order_agrees(heard),
        }
    }

    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.strayed == 0 && self.order_agrees
    }
}

impl Verdict {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.tally.is_clean() && self.leaks == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            sent,
            delivered,
            lost,
            duplicated,
            strayed,
            order_agrees,
        } = self.tally;
        let mark = if self.is_clean() { "✓" } else { "✗" };
        let order = if order_agrees {
            "one order"
        } else {
            "ORDERS DIFFER"
        };
        writeln!(
            f,
            "{mark} {sent} sent, {delivered} delivered, {lost} lost, {duplicated} duplicated, \
             {strayed} strayed, {order}, {} secrets in servers",
            self.leaks
        )?;
        write!(
            f,
            "  {} servers on {}, {} kills, {:.1} s; MLS {}, TLS {}",
            self.servers, self.store, self.kills, self.seconds, self.suite, self.tls_group
        )?;
        match self.seed {
            Some(seed) => write!(f, "; seed {seed}"),
            None => Ok(()),
        }
    }
}

fn count(texts: &[String]) -> HashMap<&str, usize> {
    let mut counts = HashMap::new();
    for text in texts {
        *counts.entry(text.as_str()).or_insert(0) += 1;
    }
    counts
}

fn order_agrees(heard: &[Vec<String>]) -> bool {
    heard.iter().enumerate().all(|(index, one)| {
        heard[index + 1..]
            .iter()
            .all(|other| shared(one, other) == shared(other, one))
    })
}

/// What of `one` is also in `other`, in the order of `one`, first copies only.
fn shared<'t>(one: &'t [String], other: &[String]) -> Vec<&'t str> {
    let other = count(other);
    let mut seen = HashMap::new();
    one.iter()
        .map(String::as_str)
        .filter(|text| other.contains_key(text) && seen.insert(*text, ()).is_none())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &[(&str, &[usize])], heard: &[&str], expect: [usize; 4], agrees: bool) {
        let said: Vec<Said> = said
            .iter()
            .map(|(text, readers)| Said {
                text: (*text).to_owned(),
                readers: readers.to_vec(),
            })
            .collect();
        let split = |texts: &&str| texts.split_whitespace().map(str::to_owned).collect();
        let heard: Vec<Vec<String>> = heard.iter().map(split).collect();
        let tally = Tally::of(&said, &heard);
        let counts = [tally.delivered, tally.lost, tally.duplicated, tally.strayed];
        assert_eq!((counts, tally.order_agrees), (expect, agrees));
        let clean = expect[1..] == [0, 0, 0] && agrees;
        assert_eq!(tally.is_clean(), clean);
    }

    #[test]
    fn each_fault_is_found() {
        let said: &[(&str, &[usize])] = &[("a", &[0, 1]), ("b", &[0, 1]), ("c", &[0])];
        check(said, &["a b c", "a b"], [3, 0, 0, 0], true);
        check(said, &["a b c", "a"], [2, 1, 0, 0], true);
        check(said, &["a b c", "a b b"], [3, 0, 1, 0], true);
        check(said, &["a b c", "b a"], [3, 0, 0, 0], false);
        check(said, &["a b c", "a b c"], [3, 0, 0, 1], true);
        check(said, &["a b c", "a x b"], [3, 0, 0, 1], true);
        check(said, &["", ""], [0, 3, 0, 0], true);
    }
}
