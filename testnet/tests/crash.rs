//! What happens to a conversation when homeservers die in the middle of it.

use testnet::args::{Storm, Victims};
use testnet::narrator::Narrator;
use testnet::network::{Binaries, BuildChoice};
use testnet::stage::Stage;
use testnet::storm;

async fn check(servers: usize, messages: usize, kills: usize, kill: Victims, seed: u64) {
    let storm = Storm {
        messages,
        kills,
        servers,
        kill,
        seed: Some(seed),
        keep: false,
    };
    let binaries = Binaries::find(BuildChoice::Build).await.unwrap();
    let stage = Stage::with(binaries, None, servers, Narrator::Json)
        .await
        .unwrap();
    let verdict = storm::on(stage, &storm).await.unwrap();
    assert!(verdict.is_clean(), "{verdict:?}");
    assert_eq!(verdict.tally.sent, servers * messages);
    assert_eq!(verdict.kills, kills);
    assert_eq!(verdict.tls_group, "X25519MLKEM768");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_hub_dies() {
    check(2, 60, 3, Victims::Hub, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_follower_dies() {
    check(2, 60, 3, Victims::Follower, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_that_die_in_turn_keep_one_order() {
    check(3, 40, 5, Victims::Any, 3).await;
}
