//! What a scene came to.

use std::fmt;

use serde::Serialize;

use super::script::Expect;
use crate::verdict::Tally;

/// What a scene came to, as scripts read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The scene.
    pub name: String,
    /// Whether all came as expected. A scene that was skipped has not passed.
    pub passed: bool,
    /// Messages that were said.
    pub sent: usize,
    /// Messages that every member's client shows.
    pub delivered: usize,
    /// Messages that some member's client lacks.
    pub lost: usize,
    /// Copies beyond the first, over all members.
    pub duplicated: usize,
    /// How long it took, from the first registration on.
    pub seconds: f64,
    /// Where it was played.
    pub on: &'static str,
    /// In what the servers kept what they held.
    pub store: &'static str,
    /// Why it was not played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// What did not come as expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Which scene, where.
#[derive(Clone, Debug)]
pub struct Playbill {
    /// The scene.
    pub name: String,
    /// Where it is played.
    pub on: &'static str,
    /// In what the servers keep what they hold.
    pub store: &'static str,
}

impl Report {
    /// Judges a scene by what came of it, and by what kept it from its end, if anything did.
    #[must_use]
    pub fn judged(
        bill: Playbill,
        expect: Expect,
        (tally, broke_down): (&Tally, Option<String>),
        seconds: f64,
    ) -> Self {
        let wrong = failure(expect, tally, seconds);
        let wrong: Vec<String> = broke_down.into_iter().chain(wrong).collect();
        let failure = (!wrong.is_empty()).then(|| wrong.join("; "));
        Self {
            passed: failure.is_none(),
            sent: tally.sent,
            delivered: tally.delivered,
            lost: tally.lost,
            duplicated: tally.duplicated,
            seconds,
            failure,
            ..Self::empty(bill)
        }
    }

    /// A scene that broke down before anybody said anything.
    #[must_use]
    pub fn broken(bill: Playbill, error: &anyhow::Error, seconds: f64) -> Self {
        Self {
            seconds,
            failure: Some(format!("{error:#}")),
            ..Self::empty(bill)
        }
    }

    /// A scene that this ground cannot play.
    #[must_use]
    pub fn skipped(bill: Playbill, reason: String) -> Self {
        Self {
            skipped: Some(reason),
            ..Self::empty(bill)
        }
    }

    /// Whether it was played and did not pass.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !self.passed && self.skipped.is_none()
    }

    fn empty(bill: Playbill) -> Self {
        Self {
            name: bill.name,
            passed: false,
            sent: 0,
            delivered: 0,
            lost: 0,
            duplicated: 0,
            seconds: 0.0,
            on: bill.on,
            store: bill.store,
            skipped: None,
            failure: None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.skipped {
            return write!(f, "– {}  skipped: {reason}", self.name);
        }
        let mark = if self.passed { "✓" } else { "✗" };
        write!(
            f,
            "{mark} {}  {} sent, {} delivered, {} lost, {} duplicated, {:.1} s on {} with {}",
            self.name,
            self.sent,
            self.delivered,
            self.lost,
            self.duplicated,
            self.seconds,
            self.on,
            self.store
        )?;
        match &self.failure {
            Some(failure) => write!(f, "\n  {failure}"),
            None => Ok(()),
        }
    }
}

fn failure(expect: Expect, tally: &Tally, seconds: f64) -> Option<String> {
    let mut wrong = Vec::new();
    if tally.sent != expect.sent {
        wrong.push(format!("{} messages were to be sent", expect.sent));
    }
    if !tally.is_clean() {
        let order = if tally.order_agrees {
            "agree"
        } else {
            "differ"
        };
        let (lost, duplicated, strayed) = (tally.lost, tally.duplicated, tally.strayed);
        wrong.push(format!(
            "{lost} lost, {duplicated} duplicated, {strayed} strayed, the members' orders {order}"
        ));
    }
    if seconds > expect.within_seconds {
        let limit = expect.within_seconds;
        wrong.push(format!(
            "it took {seconds:.1} s, where {limit} s were expected"
        ));
    }
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill() -> Playbill {
        Playbill {
            name: "a-scene".to_owned(),
            on: "local",
            store: "sqlite",
        }
    }

    fn check(tally: [usize; 5], agrees: bool, seconds: f64, passes: bool) {
        let [sent, delivered, lost, duplicated, strayed] = tally;
        let tally = Tally {
            sent,
            delivered,
            lost,
            duplicated,
            strayed,
            order_agrees: agrees,
        };
        let expect = Expect {
            sent: 3,
            within_seconds: 10.0,
        };
        let report = Report::judged(bill(), expect, (&tally, None), seconds);
        let broken = Report::judged(bill(), expect, (&tally, Some("no".to_owned())), seconds);
        assert!(broken.has_failed() && broken.lost == tally.lost);
        assert_eq!(report.passed, passes, "{report}");
        assert_eq!(report.failure.is_none(), passes);
        assert_eq!(report.has_failed(), !passes);
    }

    #[test]
    fn a_scene_passes_only_when_all_came_as_expected() {
        check([3, 3, 0, 0, 0], true, 5.0, true);
        check([2, 2, 0, 0, 0], true, 5.0, false);
        check([3, 2, 1, 0, 0], true, 5.0, false);
        check([3, 3, 0, 1, 0], true, 5.0, false);
        check([3, 3, 0, 0, 1], true, 5.0, false);
        check([3, 3, 0, 0, 0], false, 5.0, false);
        check([3, 3, 0, 0, 0], true, 11.0, false);
    }

    #[test]
    fn what_was_skipped_neither_passed_nor_failed() {
        let report = Report::skipped(bill(), "there is no second node".to_owned());
        assert!(!report.passed && !report.has_failed());
        let line = serde_json::to_value(&report).unwrap();
        assert_eq!(line["passed"], false);
        assert_eq!(line["skipped"], "there is no second node");
        let keys = ["name", "sent", "delivered", "lost", "duplicated", "seconds"];
        assert!(keys.iter().all(|key| !line[*key].is_null()), "{line}");
    }
}
