//! See `join_offers` in `entente_fuzz::TARGETS`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entente_fuzz::run("join_offers", data);
});
