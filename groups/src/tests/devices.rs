//! A home server that would like its users to have more devices than they know, or older ones.

use entente_identity::{DeviceCertificate, DeviceRole, Signed, SigningContext, SigningKey};

use super::forge::verified;
use super::hostile::{join, key_package, newer_identity, refused, ticket};
use super::world::{HOUR_MS, NOW, Person, World};
use crate::config::unbounded_lifetime;
use crate::rules::RuleFault;
use crate::suite::Suite;
use crate::{CommitFault, KeyPackageFault, LeafFault, judge_key_package};

/// The certificate of a device, changed and signed by some key.
fn certified(
    device: &Person,
    key: &SigningKey,
    change: impl FnOnce(&mut DeviceCertificate),
) -> Signed<DeviceCertificate> {
    let own = &device.identity.chain[0];
    let mut body = own.claimed_body().expect("own certificate");
    change(&mut body);
    let context = SigningContext {
        key_id: key.public().to_string(),
        ..own.claimed_context().expect("own certificate")
    };
    Signed::sign(&body, &context, key)
}

/// A device of the server's making in its user's account, under certificates that it came by.
fn added_devices(user: &Person) -> Vec<(&'static str, Person)> {
    let server = SigningKey::from_seed(&[99; 32]);
    let other = Person::new(30);
    let own = user.identity.chain[0].clone();
    let device = user.second_device(90);
    let plain = |body: &mut DeviceCertificate| body.device.role = DeviceRole::Member;
    let no_manager = certified(user, &user.root, plain);
    let with = |chain: Vec<Signed<DeviceCertificate>>| {
        let mut device = device.clone();
        device.identity.chain = chain;
        device
    };
    let unchanged = |_: &mut DeviceCertificate| {};
    vec![
        (
            "by the server",
            with(vec![certified(&device, &server, unchanged)]),
        ),
        (
            "by itself",
            with(vec![certified(&device, &device.key, unchanged)]),
        ),
        (
            "by a manager without its certificate",
            with(vec![certified(&device, &user.key, unchanged)]),
        ),
        (
            "by a device that is no manager",
            with(vec![no_manager, certified(&device, &user.key, unchanged)]),
        ),
        (
            "by another account's manager",
            with(vec![
                other.identity.chain[0].clone(),
                certified(&device, &other.key, unchanged),
            ]),
        ),
        (
            "by the server, after a real certificate",
            with(vec![own.clone(), certified(&device, &server, unchanged)]),
        ),
        (
            "in another account's name",
            with(vec![certified(&device, &user.root, |body| {
                body.account = other.account;
            })]),
        ),
        (
            "at the end of a long chain",
            with(vec![
                own.clone(),
                certified(user, &user.key, unchanged),
                certified(user, &user.key, unchanged),
                certified(&device, &user.key, unchanged),
            ]),
        ),
        ("by nobody", with(vec![])),
    ]
}

#[test]
fn f6_a_device_that_a_home_server_adds_is_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let user = Person::new(8);
    let key = world.seats[0].person.key.clone();
    for (what, device) in added_devices(&user) {
        let invited = ticket(&world, 0, &device).sign(&key, NOW, HOUR_MS);
        let bundle = join(&world, Some(invited), &device);
        let fault = match world.check(&bundle).map(|_| ()) {
            Err(CommitFault::Rule(fault @ RuleFault::Leaf(LeafFault::Certificate(_)))) => fault,
            other => panic!("{what}: {other:?}"),
        };
        let says = fault.to_string();
        assert!(
            says.contains("the leaf's device is not its account's"),
            "{says}"
        );
        refused(&mut world, &bundle, &fault);
        // Handed out as a KeyPackage to somebody who does not look.
        let bytes = key_package(&device, unbounded_lifetime(), 1);
        let judged = judge_key_package(&bytes, NOW).map(|_| ());
        assert!(
            matches!(
                judged,
                Err(KeyPackageFault::Leaf(LeafFault::Certificate(_)))
            ),
            "{what}: {judged:?}"
        );
        let founder = &mut world.seats[0].member;
        assert!(
            founder
                .add(std::slice::from_ref(&bytes), NOW, &key)
                .is_err()
        );
        let added = founder
            .commit(&key, |builder| Ok(builder.propose_adds([verified(&bytes)])))
            .expect("commits without looking");
        let fault = judged.expect_err("refused").into();
        refused(&mut world, &added, &fault);
    }
    world
        .join(&user)
        .expect("the device that the account knows");
    world.join(&user.second_device(90)).expect("and another");
}

#[test]
fn f6_a_member_whose_leaf_goes_back_to_an_older_device_list_is_refused_by_hub_and_members() {
    let mut world = World::of(Suite::Classical, 3);
    let old = world.seats[1].person.clone();
    let seat = &mut world.seats[1].member;
    let bundle = seat.refresh(Some(&newer_identity(&old)), &old.key);
    world
        .commit(&bundle.expect("commits"))
        .expect("a newer list");
    let seat = &mut world.seats[1].member;
    let bundle = seat
        .refresh(Some(&old.identity), &old.key)
        .expect("commits");
    refused(&mut world, &bundle, &RuleFault::LeafChangedOwner);
    let says = RuleFault::LeafChangedOwner.to_string();
    assert!(says.contains("does not grow older"), "{says}");
}
