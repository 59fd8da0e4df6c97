#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: etl_fuzz::init(), |input: &[u8]| etl_fuzz::pages(input));
