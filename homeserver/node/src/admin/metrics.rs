//! What Prometheus is told, in its text format: whether the server takes work, which software it is, and
//! since when it runs. To add a metric: a line in [`text`].

use std::fmt::Write;

use entente_identity::UnixMillis;

use super::Readiness;

/// The text format of Prometheus, <https://prometheus.io/docs/instrumenting/exposition_formats/>.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(super) fn text(ready: &Readiness, began: UnixMillis) -> String {
    let is_ready = u8::from(*ready == Readiness::Ready);
    let version = env!("CARGO_PKG_VERSION");
    let seconds = began.0 / 1000;
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, sample: &str| {
        writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name}{sample}"
        )
        .expect("a String takes everything");
    };
    let help = "Whether the server takes work: 1 or 0.";
    metric("entente_ready", help, &format!(" {is_ready}"));
    let help = "The software, as a label; the value is always 1.";
    let sample = format!("{{version=\"{version}\"}} 1");
    metric("entente_build_info", help, &sample);
    let help = "When the server began, in seconds since 1970.";
    metric("process_start_time_seconds", help, &format!(" {seconds}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_has_a_type_and_a_value() {
        let text = text(&Readiness::Ready, UnixMillis(5_250));
        assert!(text.contains("\nentente_ready 1\n"), "{text}");
        assert!(text.ends_with("\nprocess_start_time_seconds 5\n"), "{text}");
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(text.matches("# TYPE ").count(), samples);
        let busy = super::text(&Readiness::NotReady("starting".to_owned()), UnixMillis(0));
        assert!(busy.contains("\nentente_ready 0\n"), "{busy}");
    }
}
