//! People: who one is, whom one looked up, what an account's opening shows.

use entente_sdk::{HandleTrust, Person, UnixMillis, WhoAmI};
use serde::Serialize;

use super::inert;
use super::screen::{BAD, FAINT, Fact, GOOD, STRONG, WARNING};

/// How many recovery words stand in one line.
const WORDS_PER_LINE: usize = 6;

/// Who the profile is.
#[derive(Debug, Serialize)]
pub struct WhoAmIFact {
    handle: String,
    account: String,
    device_id: String,
    home: String,
    device_list_version: u64,
    registered: bool,
    profile: String,
}

/// A person who was looked up.
#[derive(Debug, Serialize)]
pub struct PersonFact {
    handle: String,
    account: String,
    home: String,
    devices: usize,
    trust: &'static str,
}

/// The recovery words of a new account, shown once.
#[derive(Serialize)]
pub struct RecoveryWordsFact<'a> {
    recovery_words: &'a str,
}

impl From<WhoAmI> for WhoAmIFact {
    fn from(me: WhoAmI) -> Self {
        Self {
            handle: me.handle.to_string(),
            account: me.account.to_string(),
            device_id: me.device.to_string(),
            home: me.home.domain().to_string(),
            device_list_version: me.device_list_version.into(),
            registered: me.registered,
            profile: me.profile.display().to_string(),
        }
    }
}

impl From<Person> for PersonFact {
    fn from(person: Person) -> Self {
        Self {
            handle: person.handle.to_string(),
            account: person.account.to_string(),
            home: person.home.domain().to_string(),
            devices: person.devices,
            trust: trust_name(person.trust),
        }
    }
}

impl<'a> RecoveryWordsFact<'a> {
    /// The words as they are to be written down.
    #[must_use]
    pub fn new(recovery_words: &'a str) -> Self {
        Self { recovery_words }
    }
}

impl Fact for WhoAmIFact {
    fn text(&self, _: UnixMillis) -> String {
        let state = if self.registered {
            format!("{GOOD}✓ registered{GOOD:#} at {}", self.home)
        } else {
            format!("{WARNING}not registered yet{WARNING:#}: run `entente register` again")
        };
        format!(
            "{STRONG}{}{STRONG:#}  {state}\naccount  {}\ndevice   {}\nprofile  {}",
            self.handle,
            self.account,
            self.device_id,
            inert::line(&self.profile)
        )
    }
}

impl Fact for PersonFact {
    fn text(&self, _: UnixMillis) -> String {
        let devices = if self.devices == 1 {
            "1 device".to_owned()
        } else {
            format!("{} devices", self.devices)
        };
        format!(
            "{STRONG}{}{STRONG:#}  {}\naccount  {}\nhome     {}, {devices}",
            self.handle,
            trust_text(self.trust),
            self.account,
            self.home
        )
    }
}

impl Fact for RecoveryWordsFact<'_> {
    fn text(&self, _: UnixMillis) -> String {
        let words: Vec<&str> = self.recovery_words.split_whitespace().collect();
        let numbered: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(index, word)| format!("{FAINT}{:>2}{FAINT:#} {word:<9}", index + 1))
            .collect();
        let lines: Vec<String> = numbered
            .chunks(WORDS_PER_LINE)
            .map(|line| format!("  {}", line.join(" ").trim_end()))
            .collect();
        format!(
            "{STRONG}Your recovery words{STRONG:#}: write them down now, on paper. They are shown \
             this once;\nwhoever has them has your account, and without them a lost device is \
             lost.\n\n{}\n",
            lines.join("\n")
        )
    }
}

/// The stable name of how far a handle can be believed.
#[must_use]
pub fn trust_name(trust: HandleTrust) -> &'static str {
    match trust {
        HandleTrust::Claimed => "claimed",
        HandleTrust::Confirmed => "confirmed",
        HandleTrust::Contradicted => "contradicted",
    }
}

/// A handle with what is to be known about it before it is believed.
#[must_use]
pub fn named(handle: &str, trust: &str) -> String {
    match trust {
        "confirmed" => format!("{STRONG}{handle}{STRONG:#}"),
        "contradicted" => format!("{BAD}NOT {handle} (the name is another account's){BAD:#}"),
        _ => format!("{STRONG}{handle}{STRONG:#}{FAINT}?{FAINT:#}"),
    }
}

fn trust_text(trust: &str) -> String {
    match trust {
        "confirmed" => format!("{GOOD}✓ verified{GOOD:#}"),
        "contradicted" => format!("{BAD}✗ the name is another account's{BAD:#}"),
        _ => format!("{WARNING}not verified yet{WARNING:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_words_stand_in_numbered_lines() {
        let words = vec!["abandon"; 24].join(" ");
        let text = RecoveryWordsFact::new(&words).text(UnixMillis(0));
        let plain = anstream::adapter::strip_str(&text).to_string();
        let lines: Vec<&str> = plain
            .lines()
            .filter(|line| line.contains("abandon"))
            .collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[3].ends_with("24 abandon"), "{}", lines[3]);
    }
}
