//! Run by hand: `cargo fuzz run wire`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::wire::wire(bytes));
