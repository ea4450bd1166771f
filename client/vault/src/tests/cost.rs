//! What a message and a commit cost on disk: bytes of the write-ahead log, which is what is synced.

use std::path::Path;

use entente_client_core::goal::Goal;
use entente_groups::InviteRight;

use super::hub::Hub;
use super::phone::{Phone, settle};

/// Most bytes that one message may write, sent or received, in a small room.
const MAX_MESSAGE_BYTES: u64 = 120 * 1024;

fn log_bytes(path: &Path) -> u64 {
    let file = path.join("vault.db-wal");
    std::fs::metadata(file).expect("a write-ahead log").len()
}

/// Empties the log, so that its length counts what is written from here on.
fn restart_log(phone: &Phone) {
    let connection = &phone.vault.connection;
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("a checkpoint");
}

#[test]
fn a_message_writes_few_pages_however_many_members_there_are() {
    for members in members_of_this_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut hub = Hub::default();
        let paths = [folder.path().join("alice"), folder.path().join("bob")];
        let mut alice = Phone::in_folder(&paths[0], "alice@org-a.example", &mut hub);
        let mut bob = Phone::in_folder(&paths[1], "bob@org-b.example", &mut hub);
        let room = alice.found("Tea", &mut hub);
        alice.add(&room, &mut bob, &mut hub);
        for number in 2..members {
            let mut other = Phone::new(&format!("m{number}@org-b.example"), &mut hub);
            alice.add(&room, &mut other, &mut hub);
        }
        settle(&mut hub, &mut [&mut bob, &mut alice]);
        let rounds = 8;
        let mut sent = 0;
        let mut received = 0;
        for round in 0..rounds {
            restart_log(&alice);
            restart_log(&bob);
            alice.write(&room, &format!("{round}: {}", "x".repeat(500)), &hub);
            alice.turn(&mut hub);
            bob.turn(&mut hub);
            sent += log_bytes(&paths[0]);
            received += log_bytes(&paths[1]);
        }
        restart_log(&alice);
        restart_log(&bob);
        let goal = Goal::SetInvite(InviteRight::Admins);
        alice
            .at(hub.time(), |vault, moment| vault.want(&room, &goal, moment))
            .expect("wanted");
        alice.turn(&mut hub);
        bob.turn(&mut hub);
        let commit = (log_bytes(&paths[0]), log_bytes(&paths[1]));
        let (sent, received) = (sent / rounds, received / rounds);
        println!(
            "{members} members: {sent} bytes to send a message (4 steps), {received} to receive \
             one, {} to make a commit, {} to read one",
            commit.0, commit.1
        );
        assert!(sent < 2 * MAX_MESSAGE_BYTES, "{sent} bytes");
        assert!(received < MAX_MESSAGE_BYTES, "{received} bytes");
    }
}

/// Large rooms take minutes to fill; they are measured when asked for.
fn members_of_this_run() -> Vec<u32> {
    match std::env::var("VAULT_COST_MEMBERS") {
        Ok(text) => text
            .split(',')
            .map(|n| n.parse().expect("a number"))
            .collect(),
        Err(_) => vec![2, 12],
    }
}
