//! Devices belong to their account by its root's word (adversaries A4, A6, F6).

use super::*;

fn device(seed: u8, role: DeviceRole) -> (SigningKey, Device) {
    let key = SigningKey::from_seed(&[seed; 32]);
    let device = Device {
        id: DeviceId([seed; 16]),
        signature_key: key.public(),
        hpke_key: HpkePublicKey([seed; 32]),
        role,
    };
    (key, device)
}

const NOW: UnixMillis = UnixMillis(1_000_000);

#[test]
fn a_chain_leads_from_the_root_over_managers_to_a_device() {
    let root = SigningKey::from_seed(&[1; 32]);
    let account = AccountDid::new(root.public());
    let (manager_key, manager) = device(2, DeviceRole::Manager);
    let (plain_key, plain) = device(3, DeviceRole::Member);
    let list = first_device_list(&root, vec![manager.clone(), plain.clone()], NOW);
    let body = list.claimed_body().expect("own list");
    let first = certify_device(&list, &body, &manager, &root, NOW);
    let second = certify_device(&list, &body, &plain, &manager_key, NOW);
    let shown = verify_chain(&account, &[first.clone(), second.clone()]).expect("a chain");
    assert_eq!(shown.device, plain);
    let third = certify_device(&list, &body, &manager, &plain_key, NOW);
    assert_eq!(
        verify_chain(&account, &[first, second.clone(), third]),
        Err(CertificateFault::NotManager(2))
    );
    assert!(matches!(
        verify_chain(&account, &[second]),
        Err(CertificateFault::Signed { position: 0, .. })
    ));
    assert_eq!(
        verify_chain(&account, &[]),
        Err(CertificateFault::Length(0))
    );
}

#[test]
fn lists_follow_each_other_and_only_managers_or_the_root_sign() {
    let root = SigningKey::from_seed(&[1; 32]);
    let account = AccountDid::new(root.public());
    let (manager_key, manager) = device(2, DeviceRole::Manager);
    let (plain_key, plain) = device(3, DeviceRole::Member);
    let first = first_device_list(&root, vec![manager.clone(), plain.clone()], NOW);
    let known = verify_device_list(&account, None, None, &first).expect("the first list");
    let next = DeviceList {
        version: 2,
        prev_hash: first.hash(),
        devices: vec![manager],
        ..known.body().clone()
    };
    let by = |list: &DeviceList, key| sign_statement(list, &account, key, NOW);
    let check = |signed: &Signed<DeviceList>| {
        verify_device_list(&account, Some((&first, known.body())), None, signed).map(|_| ())
    };
    assert_eq!(check(&by(&next, &manager_key)), Ok(()));
    assert_eq!(check(&by(&next, &plain_key)), Err(DeviceListFault::Signer));
    let skipping = DeviceList {
        version: 3,
        ..next.clone()
    };
    assert!(matches!(
        check(&by(&skipping, &root)),
        Err(DeviceListFault::NotNext { known: 1, got: 3 })
    ));
    let empty = DeviceList {
        devices: vec![],
        ..next
    };
    assert_eq!(check(&by(&empty, &root)), Err(DeviceListFault::Devices));
    let stranger = first_device_list(&SigningKey::from_seed(&[9; 32]), vec![plain], NOW);
    assert_eq!(
        verify_device_list(&account, None, None, &stranger).map(|_| ()),
        Err(DeviceListFault::Signer)
    );
}
