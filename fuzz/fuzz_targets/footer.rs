#![no_main]

use libfuzzer_sys::fuzz_target;

fn init() {
    etl_fuzz::init();
    etl_fuzz::write_footer_seeds();
}

fuzz_target!(init: init(), |input: &[u8]| etl_fuzz::footer(input));
