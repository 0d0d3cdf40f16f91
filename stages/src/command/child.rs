//! Child processes that end when they should: with their stage, with their time, and with this process.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use sndpipe_engine::{StageError, StageIo};

use super::params::CommandParams;
use super::strays;
use crate::quantity::Time;

/// How long a program has to end by itself after it was asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How long is waited between looks, at most.
const STEP: Duration = Duration::from_millis(20);
/// Longer lines are cut into pieces of this many bytes.
const LINE: u64 = 64 << 10;

/// Runs a program to its end; what it prints goes to the stage's log as it comes.
///
/// The program leads its own process group. The whole group gets SIGTERM when the run is stopped or the time is up, and SIGKILL two
/// seconds later, and what is left of it gets SIGKILL when the program ends. Who left the group of a program that was stopped is found
/// by `dir`, which its environment names, and killed too. If this process dies, the kernel kills the program (not its children;
/// they see their pipes close, and what they write is never looked at).
///
/// # Errors
/// [`StageError::Failed`] if it does not start, takes too long or ends with another status than 0, [`StageError::Passing`] where
/// `retry` says so; [`StageError::Interrupted`].
pub(super) fn run(
    mut command: Command,
    params: &CommandParams,
    dir: &Path,
    io: &StageIo<'_>,
) -> Result<(), StageError> {
    let timeout = params.timeout.map(|Time(timeout)| timeout);
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    die_with_this_process(&mut command);
    let started = Instant::now();
    let mut child =
        command.spawn().map_err(|error| StageError::failed(format!("`{name}` does not start: {error}")))?;
    let lines = listen(&mut child);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| StageError::failed("the program has no process id"))?;

    let mut stop: Option<(StageError, Instant, bool)> = None;
    // A program whose output has ended is about to end itself.
    let mut nap = Duration::from_micros(250);
    loop {
        match lines.recv_timeout(STEP) {
            Ok(line) => io.log(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(nap);
                nap = (2 * nap).min(STEP);
            }
        }
        // Looked at without being collected: until then nobody else can have its process id.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if !matches!(waitid(WaitId::Pid(pid), options), Ok(None)) {
            break;
        }
        match &mut stop {
            None => {
                let late = timeout.filter(|timeout| started.elapsed() > *timeout);
                let why = io.tick().err().or_else(|| late.map(|timeout| too_long(&name, timeout)));
                if let Some(why) = why {
                    let _ = kill_process_group(pid, Signal::TERM);
                    stop = Some((why, Instant::now(), false));
                }
            }
            Some((_, since, killed)) if !*killed && since.elapsed() > GRACE => {
                let _ = kill_process_group(pid, Signal::KILL);
                *killed = true;
            }
            Some(_) => {}
        }
    }
    let _ = kill_process_group(pid, Signal::KILL);
    let ended = collect(pid)?;
    io.used(ended.cpu_seconds, ended.peak_bytes);
    if stop.is_some() {
        strays::kill(dir);
    }
    // A process that left the group may hold the pipes open; it is not waited for.
    let end = Instant::now() + GRACE;
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        io.log(&line);
    }
    let judge = |error, code| match &params.retry {
        Some(retry) => retry.judge(error, code),
        None => error,
    };
    match stop {
        Some((why @ StageError::Failed { .. }, ..)) => Err(judge(why, None)),
        Some((why, ..)) => Err(why),
        None if ended.status.success() => Ok(()),
        None => Err(judge(failed(&name, ended.status), ended.status.code())),
    }
}

/// How a program ended and what it and the children that it waited for took.
struct Ended {
    status: ExitStatus,
    cpu_seconds: f64,
    peak_bytes: u64,
}

/// Collects a child that has ended.
#[expect(unsafe_code, reason = "no safe function tells what a child took")]
#[expect(clippy::cast_precision_loss, reason = "seconds")]
fn collect(pid: Pid) -> std::io::Result<Ended> {
    let mut status = 0;
    // SAFETY: a `rusage` is plain numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers lead to values that live until the call returns, and the child is one of ours that nobody collected.
    while unsafe { libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage) } < 0 {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    // In units of 1024 bytes, but on macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok(Ended {
        status: ExitStatus::from_raw(status),
        cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit,
    })
}

fn too_long(name: &str, timeout: Duration) -> StageError {
    StageError::failed(format!("`{name}` took longer than {} s", timeout.as_secs_f64()))
        .help("raise `timeout`, or see `sndpipe logs` for what it did")
}

fn failed(name: &str, status: ExitStatus) -> StageError {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    };
    StageError::failed(format!("`{name}` {how}"))
}

/// Reads both outputs on threads of their own, which end with the pipes.
fn listen(child: &mut Child) -> Receiver<String> {
    let (send, receive) = sync_channel(256);
    if let Some(out) = child.stdout.take() {
        read(out, send.clone());
    }
    if let Some(err) = child.stderr.take() {
        read(err, send);
    }
    receive
}

fn read(pipe: impl Read + Send + 'static, send: SyncSender<String>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while pipe.by_ref().take(LINE).read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            if send.send(text).is_err() {
                break;
            }
            bytes.clear();
        }
    });
}

/// Has the kernel kill the program when the thread that starts it, which waits for it, is gone.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "there is no other way to run code between fork and exec")]
fn die_with_this_process(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: the closure makes two system calls and touches neither memory of other threads nor locks, as must be between fork and exec.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // This process may have died before the signal was set.
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(std::io::ErrorKind::Interrupted.into())
            }
        });
    }
}

/// Elsewhere the program only sees its pipes close.
#[cfg(not(target_os = "linux"))]
fn die_with_this_process(_: &mut Command) {}

/// Whether this process ignores a signal, as it does if whoever started it wanted so; the programs that it starts then do, too.
#[expect(unsafe_code, reason = "no safe function tells how a signal is handled")]
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: a `sigaction` is plain numbers and an optional pointer, for which zeros are valid.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action nothing changes, and the pointer leads to a value that lives until the call returns.
    let told = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } == 0;
    told && action.sa_sigaction == libc::SIG_IGN
}
