//! Percent-encoding, for places that take only part of Unicode.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Longest metadata value in bytes: S3 allows 2 KiB of user metadata in all.
const METADATA_VALUE_LIMIT: usize = 640;

/// Percent-encodes everything but unreserved characters and those in `keep`.
pub fn percent(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A value for object metadata: ASCII, short enough for all stores, and without
/// spaces, which HTTP takes away at both ends. Two different texts never give the
/// same value.
pub fn metadata_value(text: &str) -> String {
    let encoded = percent(text, b"/:=+,@");
    if encoded.len() <= METADATA_VALUE_LIMIT {
        return encoded;
    }
    format!("sha256:{}", sha256_hex(text.as_bytes()))
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_foreign_characters_are_encoded() {
        assert_eq!(percent("a b/ü%", b""), "a%20b%2F%C3%BC%25");
        assert_eq!(percent("a b/ü%", b"/"), "a%20b/%C3%BC%25");
    }

    #[test]
    fn metadata_values_survive_as_headers() {
        for text in ["a ", " a", "a b", "\ta\n"] {
            let value = metadata_value(text);
            assert!(
                value.bytes().all(|byte| byte.is_ascii_graphic()),
                "{value:?}"
            );
        }
        assert_ne!(metadata_value("a "), metadata_value("a"));
    }

    #[test]
    fn long_metadata_values_become_digests_that_differ() {
        let (a, b) = ("ü".repeat(500), "ö".repeat(500));
        let (a, b) = (metadata_value(&a), metadata_value(&b));
        assert!(a.len() < METADATA_VALUE_LIMIT && a.is_ascii(), "{a}");
        assert_ne!(a, b);
    }
}
