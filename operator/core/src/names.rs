//! Names that follow from identities, so that a repeated effect hits the same
//! object.

use sha2::{Digest, Sha256};

/// Longest part of a child's name that is taken from the EtlJob's, in bytes.
/// With the hash a Job's name stays below the 63 characters of a label.
const PREFIX_LIMIT: usize = 40;

/// Name of the Job of one attempt: readable first, unique by
/// sha256(uid, run, attempt).
///
/// ```
/// let name = etl_core::names::child_job("daily.trips", "8f1d", 1, 2);
/// assert!(name.starts_with("daily-trips-"));
/// assert_eq!(name, etl_core::names::child_job("daily.trips", "8f1d", 1, 2));
/// assert_ne!(name, etl_core::names::child_job("daily.trips", "8f1d", 1, 3));
/// ```
pub fn child_job(job: &str, uid: &str, run: u32, attempt: u32) -> String {
    let prefix: String = job
        .chars()
        .take(PREFIX_LIMIT)
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    let digest = Sha256::digest(format!("{uid}/{run}/{attempt}"));
    format!("{}-{}", prefix.trim_matches('-'), base32(&digest[..7], 10))
}

/// The first `length` digits of the lower-case base32 form.
fn base32(bytes: &[u8], length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bit = |index: usize| (bytes[index / 8] >> (7 - index % 8)) & 1;
    (0..length)
        .map(|digit| {
            let value = (0..5).fold(0, |value, i| (value << 1) | bit(digit * 5 + i));
            char::from(ALPHABET[usize::from(value)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_name_is_a_valid_label_whatever_the_job_is_called() {
        for job in ["a", "x.y.z", &"n".repeat(63), "-odd-"] {
            let name = child_job(job, "uid", 1, 1);
            assert!(name.len() <= 63, "{name}");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            );
            assert!(!name.starts_with('-') && !name.ends_with('-'), "{name}");
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(base32(b"foobar!", 9), "mzxw6ytbo");
    }
}
