//! A flow that was told to wait.

use std::time::{Duration, Instant};

use entente_protocol::fault::Fault;

use super::throttle::refusal;

/// Until when a flow was told to wait. Before that everything on it is refused, so that nothing
/// overtakes what was refused first.
#[derive(Debug, Default)]
pub struct Pause(Option<Instant>);

impl Pause {
    /// Judges the next thing on the flow: refuses it during a pause, else asks whether it is admitted. A
    /// refusal that says when to try again begins a pause.
    ///
    /// # Errors
    /// What `admit` says, or the time that is left of the pause.
    pub fn judge(
        &mut self,
        what: &str,
        now: Instant,
        admit: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if let Some(left) = self.0.map(|until| until.saturating_duration_since(now))
            && !left.is_zero()
        {
            return Err(refusal(what, left));
        }
        let admitted = admit();
        self.0 = admitted.as_ref().err().and_then(|fault| {
            let wait_ms = fault.retry_after_ms?;
            now.checked_add(Duration::from_millis(wait_ms.into()))
        });
        admitted
    }
}

#[cfg(test)]
mod tests {
    use entente_protocol::fault::FaultCode;

    use super::*;

    #[test]
    fn nothing_overtakes_what_was_refused() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut pause = Pause::default();
        let busy = || Err(Fault::new(FaultCode::RateLimited, "no").retry_after(1_500));
        assert!(pause.judge("messages", at(0), || Ok(())).is_ok());
        assert!(pause.judge("messages", at(0), busy).is_err());
        let fault = pause.judge("messages", at(500), || panic!("not asked"));
        let fault = fault.expect_err("a pause");
        assert_eq!(fault.retry_after_ms, Some(1_000));
        assert_eq!(fault.detail, "too many messages; try again in 1 s");
        let late = begun + Duration::from_micros(1_499_600);
        let fault = pause.judge("messages", late, || panic!("not asked"));
        assert_eq!(fault.expect_err("a pause").retry_after_ms, Some(1));
        let almost = begun + Duration::from_micros(1_250_400);
        let fault = pause.judge("messages", almost, || panic!("not asked"));
        assert_eq!(fault.expect_err("a pause").retry_after_ms, Some(250));
        assert!(pause.judge("messages", at(1_500), || Ok(())).is_ok());
        assert!(pause.judge("messages", at(1_500), || Ok(())).is_ok());
    }
}
