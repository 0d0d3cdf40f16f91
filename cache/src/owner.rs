//! Who made a mark, a claim or a temporary file, and whether that process is still at work.
//!
//! A lock alone does not tell: on some mounts locks are seen by one host only, on others there are none. So a token names its process, and a
//! process touches its mark now and then: whoever sees neither lock nor process goes by the age of the mark.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use crate::Digest;

/// How often a mark is touched.
pub(crate) const BEAT: Duration = Duration::from_secs(30);
/// A process of another host whose mark was not touched for so long claims nothing any more. At worst something is computed twice.
pub(crate) const LAPSE: Duration = BEAT.saturating_mul(10);
/// A process of another host whose mark was not touched for so long is gone, with what it holds and has half-written. Names and times reach
/// other hosts of a network file system within a minute or so.
pub(crate) const SILENCE: Duration = Duration::from_secs(3600);

/// A collection whose file was not touched for so long has ended.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);

/// Tokens of the marks that this process has now.
static MINE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// Where this process runs, and since when.
static HERE: LazyLock<(u64, u64)> = LazyLock::new(|| (place(), started(std::process::id()).unwrap_or(0)));

/// What is known of the process behind a token without looking at its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// It runs here.
    Alive,
    /// It ran here and does not any more.
    Gone,
    /// It runs or ran where this process cannot look.
    Elsewhere,
    /// The token is that of a program that did not say.
    Unknown,
}

/// Makes a token, unique among all hosts and processes.
pub(crate) fn token(ns: u128) -> String {
    static SERIAL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (place, started) = *HERE;
    let token = format!("{}-{serial}-{ns:x}-{started:x}-{place:x}", std::process::id());
    MINE.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone());
    token
}

/// Says that a token of this process is used no more.
pub(crate) fn forget(token: &str) {
    MINE.lock().unwrap_or_else(PoisonError::into_inner).remove(token);
}

/// Looks for the process of a token.
pub(crate) fn life(token: &str) -> Life {
    let parts: Vec<&str> = token.split('-').collect();
    let [process, _, _, started, place] = parts[..] else { return Life::Unknown };
    let hex = |text| u64::from_str_radix(text, 16);
    let (Ok(process), Ok(started), Ok(place)) = (process.parse::<u32>(), hex(started), hex(place)) else {
        return Life::Unknown;
    };
    if place != HERE.0 {
        return Life::Elsewhere;
    }
    if (process, started) == (std::process::id(), HERE.1) {
        let mine = MINE.lock().unwrap_or_else(PoisonError::into_inner).contains(token);
        return if mine { Life::Alive } else { Life::Gone };
    }
    let lives = match self::started(process) {
        Some(now) => now == started,
        None => HERE.1 == 0 && is_running(process),
    };
    if lives { Life::Alive } else { Life::Gone }
}

/// Names this host since it was started and the numbering of its processes: where these are the same, a process is found by its number.
fn place() -> u64 {
    let text = |path| fs_err::read_to_string(path).unwrap_or_default();
    let numbering = fs_err::read_link("/proc/self/ns/pid").unwrap_or_default();
    let host = rustix::system::uname();
    let parts = [
        host.nodename().to_string_lossy().into_owned(),
        text("/proc/sys/kernel/random/boot_id"),
        text("/etc/machine-id"),
        numbering.to_string_lossy().into_owned(),
    ];
    Digest::of(parts.join("\n").as_bytes()).leading()
}

/// When a process was started, in ticks since the system was: field 22 of its `stat`. `None` if there is no such process or no `/proc`.
fn started(process: u32) -> Option<u64> {
    let stat = fs_err::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in brackets, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // A zombie has ended.
    let ended = matches!(fields.first(), Some(&"Z" | &"X"));
    fields.get(19).filter(|_| !ended)?.parse().ok()
}

fn is_running(process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
    process.is_some_and(|process| {
        !matches!(rustix::process::test_kill_process(process), Err(rustix::io::Errno::SRCH))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_whether_its_process_runs() {
        let mine = token(1);
        assert_eq!(life(&mine), Life::Alive);
        forget(&mine);
        assert_eq!(life(&mine), Life::Gone);

        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let started = started(child.id()).unwrap();
        let place = HERE.0;
        let theirs = format!("{}-0-1-{started:x}-{place:x}", child.id());
        // Another process got the number of one that is gone.
        let before = format!("{}-0-1-{:x}-{place:x}", child.id(), started - 1);
        let elsewhere = format!("{}-0-1-{started:x}-{:x}", child.id(), place ^ 1);
        assert_eq!(
            [&theirs, &before, &elsewhere].map(|t| life(t)),
            [Life::Alive, Life::Gone, Life::Elsewhere]
        );
        child.kill().unwrap();
        // It has ended before anybody asked how.
        while self::started(child.id()).is_some() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(life(&theirs), Life::Gone);
        child.wait().unwrap();
        assert_eq!(life("12-0-1a2b"), Life::Unknown);
    }
}
