//! Parsers and transport: bombs, streams without end, bad packets, bad HTTP.

mod stage;

use stage::attacks;

#[tokio::test]
async fn e1_messages_that_are_bombs_are_errors() {
    attacks(&[
        "bombs-of-strangers",
        "bombs-of-devices",
        "bombs-of-peers",
        "random-frames",
    ])
    .await;
}

#[tokio::test]
async fn e2_streams_without_end_stop_at_the_limits() {
    attacks(&["streams-without-end"]).await;
}

#[tokio::test]
async fn e2_strangers_have_few_streams_and_little_time() {
    attacks(&["streams-of-a-stranger"]).await;
}

#[tokio::test]
async fn e2_one_address_has_few_connections_without_a_login() {
    attacks(&["connections-without-end"]).await;
}

#[tokio::test]
async fn e3_bad_packets_and_early_data_are_handled_or_refused() {
    attacks(&["garbage-datagrams", "bad-initials", "early-data"]).await;
}

#[tokio::test]
async fn d6_unproven_addresses_get_a_retry() {
    attacks(&["half-open-flood"]).await;
}

#[tokio::test]
async fn e4_ambiguous_http_is_refused() {
    attacks(&["smuggled-requests", "ambiguous-requests"]).await;
}

#[tokio::test]
async fn e4_a_request_without_an_end_is_given_up() {
    attacks(&["slow-requests"]).await;
}
