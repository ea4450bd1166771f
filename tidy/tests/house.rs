//! The rules of the house, one test each.

use std::sync::LazyLock;

use entente_tidy::arrows::Arrows;
use entente_tidy::{House, habits, purity, sizes, uphold, wording};

static HOUSE: LazyLock<House> = LazyLock::new(House::open);

static ARROWS: LazyLock<Arrows<'static>> = LazyLock::new(|| Arrows::of(&HOUSE));

#[test]
fn every_crate_is_on_the_chart() {
    uphold(ARROWS.uncharted());
}

#[test]
fn dependencies_between_our_crates_point_down() {
    uphold(ARROWS.upward());
}

#[test]
fn a_heavy_dependency_is_named_only_by_its_owner() {
    uphold(ARROWS.not_owned());
}

#[test]
fn words_rules_and_seams_never_reach_the_world() {
    uphold(ARROWS.worldly());
}

#[test]
fn every_manifest_takes_over_the_rules_of_the_workspace() {
    uphold(ARROWS.unruly_manifests());
}

#[test]
fn a_file_has_at_most_700_lines() {
    uphold(sizes::long_files(HOUSE.rust_files()));
}

#[test]
fn a_function_has_at_most_70_lines() {
    println!("{}", sizes::report(HOUSE.rust_files()));
    uphold(sizes::long_functions(HOUSE.rust_files()));
}

#[test]
fn a_function_takes_at_most_6_arguments() {
    uphold(sizes::many_arguments(HOUSE.rust_files()));
}

#[test]
fn words_and_rules_have_no_clock_random_source_task_lock_or_global() {
    uphold(purity::ambient(HOUSE.rust_files(), purity::EXCEPTIONS));
}

#[test]
fn every_exception_to_purity_is_needed() {
    let idle = purity::idle_exceptions(HOUSE.rust_files(), purity::EXCEPTIONS);
    assert!(
        idle.is_empty(),
        "take these out of tidy/src/purity.rs: {idle:?}"
    );
}

#[test]
fn the_pure_crates_share_one_clippy_configuration() {
    uphold(habits::differing_clippy_files(&HOUSE));
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    uphold(habits::allowed_lints(HOUSE.rust_files()));
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    uphold(habits::unwraps(HOUSE.rust_files()));
}

#[test]
fn no_work_is_left_behind() {
    uphold(habits::leftovers(HOUSE.rust_files()));
}

#[test]
fn every_file_begins_with_its_purpose() {
    uphold(habits::headless_files(HOUSE.rust_files()));
}

#[test]
fn every_name_says_what_is_inside() {
    uphold(habits::empty_names(HOUSE.files(), HOUSE.rust_files()));
}

#[test]
fn license_toolchain_and_lock_file_are_part_of_the_checkout() {
    let wanted = [
        "LICENSE",
        "Cargo.lock",
        "rust-toolchain.toml",
        "deny.toml",
        "clippy.toml",
    ];
    uphold(habits::missing_files(&HOUSE, &wanted));
}

#[test]
fn no_file_speaks_of_one_machine_or_of_today() {
    uphold(wording::forbidden_words(&HOUSE));
}
