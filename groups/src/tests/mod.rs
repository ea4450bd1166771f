//! Rooms from end to end: a hub and members that judge the same bytes.

mod adversaries;
mod flows;
mod golden;
mod hostile;
mod late;
mod leaving;
mod walk;
pub(crate) mod world;

/// Values go to whichever thread does the work.
#[test]
fn states_are_sent_between_threads() {
    fn sent<T: Send>() {}
    sent::<crate::Member>();
    sent::<crate::PublicRoom>();
    sent::<crate::KeyPackages>();
    sent::<crate::GroupState>();
}
