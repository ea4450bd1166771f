//! Rooms from end to end: a hub and members that judge the same bytes.

mod adversaries;
mod devices;
mod epochs;
mod flows;
mod forge;
mod golden;
mod group_infos;
mod hostile;
mod joiners;
mod late;
mod leaving;
mod mutated;
mod offers;
mod signatures;
mod suites;
mod tickets;
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
