//! What Prometheus is told, in its text format: whether the server takes work, which software it is, since
//! when it runs, and how its writes fare. Labels are outcomes and bounds, never anybody's name. To add a
//! metric: a line in [`text`], and one in `docs/operations/metrics.md`.

use std::fmt::{Display, Write};

use entente_identity::UnixMillis;

use super::Readiness;
use crate::writer::{ANSWERS, BATCH_BOUNDS, Count, Histogram, Measures, OUTCOMES, TIME_BOUNDS_US};

/// The text format of Prometheus, <https://prometheus.io/docs/instrumenting/exposition_formats/>.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(super) fn text(ready: &Readiness, began: UnixMillis, writer: &Measures) -> String {
    let mut page = Page::default();
    let help = "Whether the server takes work: 1 or 0.";
    page.metric("entente_ready", "gauge", help);
    page.sample("", u8::from(*ready == Readiness::Ready));
    let help = "The software, as a label; the value is always 1.";
    page.metric("entente_build_info", "gauge", help);
    let version = env!("CARGO_PKG_VERSION");
    page.sample(&format!("{{version=\"{version}\"}}"), 1);
    let help = "When the server began, in seconds since 1970.";
    page.metric("process_start_time_seconds", "gauge", help);
    page.sample("", began.0 / 1000);
    let help = "Transactions that wrote, by what became of them.";
    page.metric("entente_transactions_total", "counter", help);
    page.by_outcome(&OUTCOMES, &writer.transactions);
    let help = "Commands of those transactions, by their answers.";
    page.metric("entente_commands_total", "counter", help);
    page.by_outcome(&ANSWERS, &writer.commands);
    let help = "How often a transaction was begun again because another node was faster.";
    page.metric("entente_transaction_retries_total", "counter", help);
    page.sample("", writer.retries.now());
    let help = "Commands of each transaction.";
    page.metric("entente_transaction_commands", "histogram", help);
    page.histogram(&writer.batches, &BATCH_BOUNDS, |commands| commands as f64);
    let help = "Time of each transaction with all its attempts, until it was on disk or given up.";
    page.metric("entente_transaction_seconds", "histogram", help);
    let seconds = |us| us as f64 / 1e6;
    page.histogram(&writer.times_us, &TIME_BOUNDS_US, seconds);
    page.text
}

/// A text that grows by metrics.
#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn metric(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn sample(&mut self, rest: &str, value: impl Display) {
        let name = self.name;
        self.line(format_args!("{name}{rest} {value}"));
    }

    fn by_outcome(&mut self, outcomes: &[&str], counts: &[Count]) {
        for (outcome, count) in outcomes.iter().zip(counts) {
            self.sample(&format!("{{outcome=\"{outcome}\"}}"), count.now());
        }
    }

    fn histogram<const N: usize>(
        &mut self,
        histogram: &Histogram<N>,
        bounds: &[u64; N],
        unit: fn(u64) -> f64,
    ) {
        let (within, all, sum) = histogram.now();
        for (bound, count) in bounds.iter().zip(within) {
            self.sample(&format!("_bucket{{le=\"{}\"}}", unit(*bound)), count);
        }
        self.sample("_bucket{le=\"+Inf\"}", all);
        self.sample("_sum", unit(sum));
        self.sample("_count", all);
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_metric_has_a_type_and_a_value() {
        let writer = Measures::default();
        let text = text(&Readiness::Ready, UnixMillis(5_250), &writer);
        assert!(text.contains("\nentente_ready 1\n"), "{text}");
        assert!(text.contains("\nprocess_start_time_seconds 5\n"), "{text}");
        let zero = "entente_transactions_total{outcome=\"conflict\"} 0\n";
        assert!(text.contains(zero), "{text}");
        let last = "entente_transaction_seconds_bucket{le=\"0.00025\"} 0\n";
        assert!(text.contains(last), "{text}");
        let busy = super::text(
            &Readiness::NotReady("starting".to_owned()),
            UnixMillis(0),
            &writer,
        );
        assert!(busy.contains("\nentente_ready 0\n"), "{busy}");
    }

    /// The document names every metric, and no other.
    #[test]
    fn the_document_lists_them() {
        let text = text(&Readiness::Ready, UnixMillis(0), &Measures::default());
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let told: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
        let document = include_str!("../../../../docs/operations/metrics.md");
        let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
        let listed: BTreeSet<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(told, listed);
    }
}
