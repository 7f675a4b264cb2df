#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| meshtun_fuzz::openvpn_datagrams(input));
