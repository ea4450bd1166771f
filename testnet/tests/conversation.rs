//! Conversations between organizations, with the real programs.

use std::collections::BTreeSet;
use std::process::Stdio;

use testnet::cast::{ClientFailure, Line, Person, names};
use testnet::narrator::Narrator;
use testnet::network::{Binaries, BuildChoice};
use testnet::scan::{Secret, secrets_of};
use testnet::stage::Stage;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

const ROOM: &str = "Lighthouse 7f3a91";

/// A network with one registered person per server, and their recovery words.
async fn stage(servers: usize) -> (Stage, Vec<Person>, Vec<String>) {
    let binaries = Binaries::find(BuildChoice::Build).await.unwrap();
    let stage = Stage::with(binaries, None, servers, Narrator::Json)
        .await
        .unwrap();
    let mut people = Vec::new();
    let mut words = Vec::new();
    for handle in names::one_per_server(stage.network.plan()).unwrap() {
        let person = Person::of(&stage.network, &handle);
        words.push(person.register().await.unwrap().recovery_words);
        people.push(person);
    }
    (stage, people, words)
}

/// Founds a room and brings everybody in by invitation.
async fn gather(people: &[Person]) {
    let [founder, others @ ..] = people else {
        panic!("a room needs people")
    };
    founder.run(&["room", "create", ROOM]).await.unwrap();
    for person in others {
        let handle = person.handle().to_string();
        founder
            .run(&["room", "invite", ROOM, &handle])
            .await
            .unwrap();
        let invite = person.invitation().await.unwrap();
        assert_eq!(invite["name"], ROOM);
        assert_eq!(invite["inviter"], founder.handle().to_string());
        person.run(&["room", "join"]).await.unwrap();
    }
    for person in people {
        let whole = |room: &testnet::cast::Room| room.members == people.len();
        person.room_when("the whole room", whole).await.unwrap();
    }
}

/// What a command that must not succeed told.
async fn refused(person: &Person, args: &[&str]) -> ClientFailure {
    let error = person.run(args).await.unwrap_err();
    error.downcast::<ClientFailure>().unwrap()
}

fn texts(lines: &[Line]) -> Vec<String> {
    let texts = lines.iter().filter(|line| line.is_text());
    texts.filter_map(|line| line.text.clone()).collect()
}

/// Waits until a person has all of `wanted`, and returns everything said in the order of this person.
async fn heard(person: &Person, wanted: &[&str]) -> Vec<String> {
    let has_all = |lines: &[Line]| {
        let texts = texts(lines);
        wanted
            .iter()
            .all(|text| texts.iter().any(|known| known == text))
    };
    let lines = person
        .history_when(ROOM, "all messages", has_all)
        .await
        .unwrap();
    texts(&lines)
}

#[tokio::test]
async fn f9_two_organizations_talk_and_no_server_knows_what_about() {
    let (mut stage, people, words) = stage(2).await;
    let [alice, bob] = &people[..] else { panic!() };
    gather(&people).await;
    let said = [
        "the lamp is lit at dusk 51c0",
        "and out at dawn 8e2b",
        "bring oil for the lamp d94f",
    ];
    alice.say(ROOM, said[0]).await.unwrap();
    bob.say(ROOM, said[1]).await.unwrap();
    let sent = alice
        .run(&["send", ROOM, said[2], "--wait", "delivered"])
        .await
        .unwrap();
    assert_eq!(sent[0]["state"], "delivered");
    assert!(sent[0]["seq"].as_u64().is_some_and(|seq| seq > 1));
    let at_alice = heard(alice, &said).await;
    let at_bob = heard(bob, &said).await;
    assert_eq!(at_alice.len(), said.len());
    assert_eq!(at_alice, at_bob);
    for person in &people {
        let status = person.run(&["status"]).await.unwrap();
        assert_eq!(status[0]["key_exchange"], "X25519MLKEM768");
    }
    stage.network.stop_all().await.unwrap();
    let mut secrets = vec![Secret::text("room name", ROOM).unwrap()];
    for text in said {
        secrets.push(Secret::text("message", text).unwrap());
    }
    for (person, words) in people.iter().zip(&words) {
        let profile = person.profile();
        secrets.extend(secrets_of(person.handle(), &profile, words).unwrap());
    }
    let public = [Secret::text("a handle, which servers know", "alice@org-a.test").unwrap()];
    assert!(
        !stage.scan(&public).unwrap().leaks.is_empty(),
        "the scan finds what is there"
    );
    let report = stage.scan(&secrets).unwrap();
    assert!(report.files > 4 && report.bytes > 10_000, "{report:?}");
    assert_eq!(report.leaks, BTreeSet::new());
}

#[tokio::test]
async fn refusals_say_what_is_wrong_by_their_exit_code() {
    let (stage, people, _) = stage(2).await;
    let [alice, bob] = &people[..] else { panic!() };
    gather(&people).await;
    assert_eq!(refused(alice, &["send", "no such room", "x"]).await.exit, 6);
    let missing = refused(alice, &["resolve", "nobody@org-b.test"]).await;
    assert_eq!((missing.exit, missing.code.as_str()), (6, "not-found"));
    assert_eq!(refused(alice, &["room", "join"]).await.exit, 6);
    let bobs = bob.handle().to_string();
    let namesake = Person::of(&stage.network, bob.handle());
    let taken = namesake
        .run(&["--profile", "namesake", "register", &bobs, "--key-file"])
        .await
        .unwrap_err();
    let taken = taken.downcast::<ClientFailure>().unwrap();
    assert_eq!((taken.exit, taken.code.as_str()), (5, "handle-taken"));
    let person = alice.run(&["resolve", &bobs]).await.unwrap();
    assert_eq!(person[0]["trust"], "confirmed");
    let founders = alice.handle().to_string();
    let not_admin = refused(bob, &["room", "remove", ROOM, &founders]).await;
    assert!(matches!(not_admin.exit, 2 | 5), "{not_admin}");
}

#[tokio::test]
async fn who_left_or_was_removed_reads_nothing_more() {
    let (_stage, people, _) = stage(3).await;
    let [alice, bob, carol] = &people[..] else {
        panic!()
    };
    gather(&people).await;
    alice.say(ROOM, "all three read this").await.unwrap();
    for person in &people {
        heard(person, &["all three read this"]).await;
    }
    bob.run(&["room", "leave", ROOM]).await.unwrap();
    alice
        .room_when("two members", |room| room.members == 2)
        .await
        .unwrap();
    alice.say(ROOM, "bob is gone").await.unwrap();
    heard(carol, &["bob is gone"]).await;
    let carols = carol.handle().to_string();
    alice.run(&["room", "remove", ROOM, &carols]).await.unwrap();
    alice.say(ROOM, "alone at last").await.unwrap();
    carol
        .room_when("its removal", |room| room.state == "removed")
        .await
        .unwrap();
    bob.room_when("its leaving", |room| room.state == "left")
        .await
        .unwrap();
    for (person, last) in [(bob, "all three read this"), (carol, "bob is gone")] {
        assert_eq!(
            refused(person, &["send", ROOM, "still here?"]).await.exit,
            6
        );
        let lines = person.history(ROOM).await.unwrap();
        assert_eq!(texts(&lines).last().unwrap(), last);
    }
}

#[tokio::test]
async fn one_profile_listens_while_another_process_of_it_sends() {
    let (_stage, people, _) = stage(2).await;
    let [alice, bob] = &people[..] else { panic!() };
    gather(&people).await;
    let listening = bob.run(&["listen", ROOM, "--count", "3", "--timeout", "90"]);
    let talking = async {
        alice.say(ROOM, "one").await?;
        bob.say(ROOM, "two").await?;
        alice.say(ROOM, "three").await
    };
    let (listened, talked) = tokio::join!(listening, talking);
    talked.unwrap();
    let listened = listened.unwrap();
    let texts = listened.iter().filter_map(|event| event["text"].as_str());
    let texts: BTreeSet<&str> = texts.collect();
    assert_eq!(texts, BTreeSet::from(["one", "two", "three"]));
}

#[tokio::test]
async fn what_was_not_printed_stays_unread() {
    let (_stage, people, _) = stage(2).await;
    let [alice, bob] = &people[..] else { panic!() };
    gather(&people).await;
    let said = ["one", "two", "three"];
    for text in said {
        alice.say(ROOM, text).await.unwrap();
    }
    bob.room_when("three unread messages", |room| room.unread == 3)
        .await
        .unwrap();
    for (count, expect) in [("2", &said[..2]), ("1", &said[2..])] {
        let args = ["listen", ROOM, "--count", count, "--timeout", "60"];
        let printed = bob.run(&args).await.unwrap();
        let texts = printed.iter().filter(|event| event["kind"] == "text");
        let texts: Vec<&str> = texts.filter_map(|event| event["text"].as_str()).collect();
        assert_eq!(texts, expect);
    }
    let nothing = refused(bob, &["listen", ROOM, "--count", "1", "--timeout", "1"]).await;
    assert_eq!(nothing.exit, 4);
}

#[tokio::test]
async fn a_client_that_is_killed_sends_what_it_took_exactly_once() {
    let (_stage, people, _) = stage(2).await;
    let [alice, bob] = &people[..] else { panic!() };
    gather(&people).await;
    let wanted: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
    let mut command = bob.command();
    let mut sending = command
        .args(["--json", "send", ROOM, "--lines"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = sending.stdin.take().unwrap();
    input.write_all(wanted.join("\n").as_bytes()).await.unwrap();
    drop(input);
    let mut printed = BufReader::new(sending.stdout.take().unwrap()).lines();
    printed
        .next_line()
        .await
        .unwrap()
        .expect("a first message went through");
    sending.kill().await.unwrap();
    let own = bob
        .history_when(ROOM, "its own messages in the log", |lines| {
            lines.iter().all(|line| line.seq.is_some())
        })
        .await
        .unwrap();
    let own = texts(&own);
    assert!(!own.is_empty() && own == wanted[..own.len()], "{own:?}");
    let all: Vec<&str> = own.iter().map(String::as_str).collect();
    assert_eq!(heard(alice, &all).await, own);
}
