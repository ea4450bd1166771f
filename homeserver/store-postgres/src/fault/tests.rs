//! Which codes are whose fault.

use super::*;

fn check(codes: &[&str], expect: fn(String) -> StoreFault) {
    for code in codes {
        assert_eq!(
            by_code(code, (*code).to_owned()),
            expect((*code).to_owned())
        );
    }
}

#[test]
fn another_writer_is_a_conflict() {
    check(&["40001", "40P01", "55P03"], StoreFault::Conflict);
}

#[test]
fn what_an_operator_can_mend_is_unavailable() {
    let codes = [
        "08006", "25006", "28P01", "3D000", "53100", "53300", "57P01", "57P03", "57014", "58030",
    ];
    check(&codes, StoreFault::Unavailable);
}

#[test]
fn damage_and_bugs_are_broken() {
    let codes = ["23505", "23502", "42601", "42P01", "22021", "XX001", ""];
    check(&codes, StoreFault::Broken);
}
