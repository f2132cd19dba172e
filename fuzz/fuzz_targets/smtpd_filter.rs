//! Run by hand: `cargo fuzz run smtpd_filter`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sm2tp_fuzz::mta::smtpd_filter(bytes));
