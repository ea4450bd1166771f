//! Delivery: whatever is wrong with a stream, it goes on, and every item has its effect once.

mod stage;

use stage::attacks;

#[tokio::test]
async fn d1_what_cannot_be_read_or_applied_is_put_aside_alone() {
    attacks(&["garbage-items", "broken-entries"]).await;
}

#[tokio::test]
async fn d3_shuffled_batches_have_their_effect_once() {
    attacks(&["shuffled-batches"]).await;
}

#[tokio::test]
async fn d5_a_black_hole_lets_only_its_own_queue_grow() {
    attacks(&["black-hole-mute"]).await;
}

#[tokio::test]
async fn d5_a_peer_that_never_acknowledges_lets_only_its_own_queue_grow() {
    attacks(&["black-hole-hoarding"]).await;
}

#[tokio::test]
async fn d6_a_peer_beyond_its_rate_is_told_when_to_come_again() {
    attacks(&["calls-beyond-the-rate"]).await;
}

#[tokio::test]
async fn d6_a_peer_with_too_many_batches_holds_up_nobody_else() {
    attacks(&["batches-beyond-the-rate"]).await;
}

#[tokio::test]
async fn f3_ten_thousand_invites_leave_bounded_rows_and_others_undisturbed() {
    attacks(&["ten-thousand-invites"]).await;
}
