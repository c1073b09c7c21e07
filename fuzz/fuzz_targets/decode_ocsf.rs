#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::Format;

fuzz_target!(|bytes: &[u8]| fuzz::decode(Format::Ocsf, bytes));
