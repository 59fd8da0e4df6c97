//! Uids, as an API server would give them.

/// A random (version 4) UUID.
///
/// # Errors
/// The system has no random numbers to give.
pub fn draw() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(version_4(bytes))
}

fn version_4(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = bytes.map(|byte| format!("{byte:02x}")).concat();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_has_the_form_of_version_4() {
        assert_eq!(
            version_4([0xff; 16]),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        assert_eq!(version_4([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_ne!(draw().unwrap(), draw().unwrap());
    }
}
