//! Identity and signing: what was captured, misdirected, incomplete or changed counts for nothing.

mod stage;

use stage::attacks;

#[tokio::test]
async fn a1_replays_are_refused_elsewhere_and_answered_alike_on_their_own_connection() {
    attacks(&[
        "replayed-login",
        "replayed-hello",
        "replayed-call",
        "replayed-batch",
    ])
    .await;
}

#[tokio::test]
async fn a2_what_was_signed_for_another_server_is_refused() {
    attacks(&[
        "login-for-another",
        "hello-for-another",
        "batch-for-another",
        "forwarded-batch",
    ])
    .await;
}

#[tokio::test]
async fn a3_what_lacks_destination_version_or_end_is_refused() {
    attacks(&["incomplete-login", "incomplete-hello", "unknown-versions"]).await;
}

#[tokio::test]
async fn a4_one_changed_or_appended_byte_is_refused() {
    attacks(&["altered-login", "altered-hello", "altered-batch"]).await;
}

#[tokio::test]
async fn a6_a_signature_under_another_key_is_refused() {
    attacks(&["login-of-another-key", "hello-of-another-key"]).await;
}

#[tokio::test]
async fn a10_nothing_that_a_peer_offers_is_signed() {
    attacks(&["offered-for-signing"]).await;
}
