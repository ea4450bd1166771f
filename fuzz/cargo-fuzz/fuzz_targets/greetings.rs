//! See `greetings` in `entente_fuzz::TARGETS`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    entente_fuzz::run("greetings", data);
});
