//! Rooms: who speaks for others, who was removed, who asks too much.

mod stage;

use stage::attacks;

#[tokio::test]
async fn f5_a_server_speaks_for_its_own_users_only() {
    attacks(&["message-of-a-third-domain", "calls-of-a-third-domain"]).await;
}

#[tokio::test]
async fn f5_only_the_hub_hands_over_a_rooms_entries() {
    attacks(&["entry-of-another-hub"]).await;
}

#[tokio::test]
async fn f5_only_the_hub_refuses_a_rooms_messages() {
    attacks(&["word-of-another-hub"]).await;
}

#[tokio::test]
async fn f7_who_was_removed_gets_nothing_after_its_removal() {
    attacks(&["removed-organization", "removed-member"]).await;
}

#[tokio::test]
async fn f7_an_organization_gets_nothing_from_before_it_came_in() {
    attacks(&["pull-from-before"]).await;
}

#[tokio::test]
async fn a4_of_two_bodies_for_one_number_or_position_the_first_counts() {
    attacks(&["two-bodies"]).await;
}

#[tokio::test]
async fn a4_two_signed_entries_for_one_position_are_kept_as_evidence() {
    attacks(&["two-signed-histories"]).await;
}

#[tokio::test]
async fn c8_one_device_has_one_proposal_pending_however_often_it_asks() {
    attacks(&["proposal-flood"]).await;
}

#[tokio::test]
async fn c10_epochs_far_away_are_refused_before_any_cryptography() {
    attacks(&["far-epochs"]).await;
}

#[tokio::test]
async fn c11_welcomes_that_nobody_asked_for_are_dropped() {
    attacks(&["unasked-welcome"]).await;
}
