//! Signals that ask the runner to stop, as messages.

use std::io;
use std::sync::mpsc::Sender;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::process::Message;

/// From now on SIGINT, SIGTERM and SIGHUP do not end this process, but arrive
/// as [`Message::Interrupted`].
pub fn listen(messages: Sender<Message>) -> io::Result<()> {
    let mut asked = vec![SIGINT, SIGTERM];
    // Under nohup a closed terminal is no reason to stop.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !ignores(&status, SIGHUP) {
        asked.push(SIGHUP);
    }
    let mut signals = Signals::new(asked)?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if messages.send(Message::Interrupted).is_err() {
                break;
            }
        }
    });
    Ok(())
}

fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_hangup_is_recognised() {
        assert!(ignores("Name:\tx\nSigIgn:\t0000000000001001\n", SIGHUP));
        assert!(!ignores("SigIgn:\t0000000000001000\n", SIGHUP));
        assert!(!ignores("", SIGHUP));
    }
}
