//! How much memory each of several workers may use.
//!
//! A worker alone on the machine sizes itself. Several at once would each take
//! the whole for themselves.

use std::fs;

/// Bytes for each of `workers`, or nothing if that is theirs to find out: one
/// worker alone, or a machine that does not tell.
pub fn share_bytes(workers: usize) -> Option<u64> {
    if workers < 2 {
        return None;
    }
    let available = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| available(&text));
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let all = [available, limit].into_iter().flatten().min()?;
    Some(all / workers as u64)
}

/// Half of what is available: the page cache lives on it too.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024 / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_available_memory_is_shared_out() {
        let text = "MemTotal:  9 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available(text), Some(1 << 20));
        assert_eq!(available("MemTotal: 9 kB\n"), None);
        assert_eq!(share_bytes(1), None);
    }
}
