//! A rotation goes to the key committed to, or nowhere (adversaries A8).

use super::*;

fn shape_fault(document: &KeyDocument, signer: u8) {
    let judged = pin().judge(&document.sign(&key(signer)), NOW.after(DAY_MS));
    assert!(
        matches!(
            judged,
            Err(KeyPinFault::Document(KeyDocumentFault::Keys(_)))
        ),
        "{judged:?}"
    );
}

#[test]
fn a8_a_rotation_to_the_committed_key_is_followed() {
    let pin = rotated_pin();
    assert_eq!(pin.seq, 1);
    assert_eq!(pin.hash, second().chain_hash());
    assert_eq!(pin.first_hash, first().chain_hash());
    assert_eq!(pin.history, [], "the document itself lists the ended key");
    let unlisted = KeyDocument {
        keys: second().keys[..1].to_vec(),
        ..second()
    };
    let judged = self::pin().judge(&unlisted.sign(&key(2)), NOW.after(DAY_MS));
    let Ok(Judged::Rotated(pin)) = judged else {
        panic!("no rotation: {judged:?}");
    };
    let ended = FederationKey {
        until: Some(NOW.after(DAY_MS)),
        ..first().keys[0].clone()
    };
    assert_eq!(pin.history, [ended]);
    assert!(pin.key_at(&key(1).public(), NOW));
}

#[test]
fn a8_a_rotation_to_any_other_key_is_refused() {
    let refused = Err(KeyPinFault::NotCommitted { seq: 1 });
    let later = NOW.after(DAY_MS);
    let to = |number: u8| first().rotated(&key(number).public(), committed(4), later);
    check(&to(3), 3, refused.clone());
    // The old key, which somebody may have stolen, cannot speak for the new document.
    let judged = pin().judge(&to(2).sign(&key(1)), later);
    assert_eq!(judged, Err(KeyPinFault::Document(KeyDocumentFault::Signer)));
    let mut with_guest = to(2);
    with_guest.keys.push(FederationKey {
        public: key(9).public(),
        from: NOW,
        until: Some(later),
    });
    check(&with_guest, 2, refused.clone());
    let mut rewritten = to(2);
    rewritten.keys[1].from = NOW.before(DAY_MS);
    check(&rewritten, 2, refused.clone());
    let mut begun_before = to(2);
    begun_before.keys[0].from = NOW.before(1);
    begun_before.keys.truncate(1);
    check(&begun_before, 2, refused);
}

#[test]
fn a8_a_key_that_has_ended_never_lives_again() {
    let later = NOW.after(2 * DAY_MS);
    let pin = KeyPin {
        next_key_hash: committed(1),
        ..rotated_pin()
    };
    let mut again = second().rotated(&key(1).public(), committed(4), later);
    again.keys.truncate(2);
    assert_eq!(
        pin.judge(&again.sign(&key(1)), later),
        Err(KeyPinFault::NotCommitted { seq: 2 })
    );
    let mut longer = second().rotated(&key(3).public(), committed(4), later);
    longer.keys[2].until = Some(later);
    assert_eq!(
        rotated_pin().judge(&longer.sign(&key(3)), later),
        Err(KeyPinFault::NotCommitted { seq: 2 }),
        "the end of an ended key is known"
    );
}

#[test]
fn a8_a_gap_is_closed_only_by_every_document_between() {
    let third = second().rotated(&key(3).public(), committed(4), NOW.after(2 * DAY_MS));
    let now = NOW.after(30 * DAY_MS);
    let newest = KeyDocument {
        issued: now,
        ..third.clone()
    };
    let (between, newest) = (second().sign(&key(2)), newest.sign(&key(3)));
    let gap = KeyPinFault::Gap {
        pinned: 0,
        shown: 2,
    };
    assert_eq!(pin().judge(&newest, now), Err(gap.clone()));
    assert_eq!(pin().catch_up(&[], &newest, now), Err(gap));
    let Ok(Judged::Rotated(caught_up)) =
        pin().catch_up(&[first().sign(&key(1)), between.clone()], &newest, now)
    else {
        panic!("the chain is whole");
    };
    assert_eq!((caught_up.seq, caught_up.issued), (2, now));
    assert!(!caught_up.live_key(&key(2).public(), now));
    assert!(caught_up.key_at(&key(1).public(), NOW));
    assert_eq!(
        caught_up.catch_up(&[], &newest, now),
        Ok(Judged::Same),
        "nothing new"
    );
    let forged = first().rotated(&key(9).public(), committed(3), NOW.after(DAY_MS));
    assert_eq!(
        pin().catch_up(&[forged.sign(&key(9))], &newest, now),
        Err(KeyPinFault::NotCommitted { seq: 1 })
    );
    // An old document between is history; the newest has to be current.
    assert_eq!(
        pin().catch_up(&[between], &third.sign(&key(3)), now),
        Err(KeyPinFault::NotCurrent(third.issued))
    );
}

#[test]
fn a8_a_document_of_a_wrong_shape_is_no_link() {
    let change = |change: fn(&mut KeyDocument)| {
        let mut document = second();
        change(&mut document);
        document
    };
    for document in [
        change(|document| document.keys[1].until = None),
        change(|document| document.keys[1].until = Some(NOW.after(DAY_MS + 1))),
        change(|document| document.keys[0].until = Some(NOW.after(9 * DAY_MS))),
        change(|document| document.keys[0].from = NOW.after(2 * DAY_MS)),
        change(|document| document.keys[1] = document.keys[0].clone()),
        change(|document| document.next_key_hash = committed(2)),
        change(|document| document.next_key_hash = committed(1)),
        change(|document| document.prev_hash = [0; 32]),
        change(|document| document.seq = 0),
        change(|document| document.features = vec![0; 257]),
    ] {
        shape_fault(&document, 2);
    }
    let mut many = second();
    for number in 0..8 {
        let mut ended = many.keys[1].clone();
        ended.public = key(100 + number).public();
        many.keys.push(ended);
    }
    shape_fault(&many, 2);
    let mut none = second();
    none.keys.clear();
    check(
        &none,
        2,
        Err(KeyPinFault::Document(KeyDocumentFault::Signer)),
    );
}

#[test]
fn a8_a_server_that_rotates_for_ever_fills_no_memory() {
    let mut document = first();
    let mut pin = pin();
    for number in 1..=300_u64 {
        let now = NOW.after(number);
        let seed = |number: u64| {
            let mut seed = [0xa5; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            SigningKey::from_seed(&seed)
        };
        let signer = if number == 1 { key(2) } else { seed(number) };
        let next = seed(number + 1).public().fingerprint();
        document = document.rotated(&signer.public(), next, now);
        pin = match pin.judge(&document.sign(&signer), now) {
            Ok(Judged::Rotated(pin)) => pin,
            other => panic!("rotation {number}: {other:?}"),
        };
    }
    assert_eq!((pin.seq, pin.history.len()), (300, MAX_HISTORY));
    assert_eq!(pin.keys.len(), 8);
}
