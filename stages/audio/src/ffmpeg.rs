//! `decoder: ffmpeg`: files through the program `ffmpeg` of this machine.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sndpipe_artefacts::audio::DecodeLimits;
use sndpipe_engine::program::Program;
use sndpipe_engine::{MapError, SourceScan, StageError};

use super::damage::Damage;
use super::decode::{DecodeError, MAX_SAMPLES, Pcm, check_length, check_shape};

/// What the program is called.
const NAME: &str = "ffmpeg";
/// Time for a file beyond its longest sound, which leaves a busy machine enough.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of messages that are kept.
const MESSAGES: u64 = 1 << 16;
/// What the program sees of the environment: where its libraries and its settings lie.
const KEPT: [&str; 4] = ["PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR"];

/// The program, found.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
}

impl Ffmpeg {
    /// Finds the program in `PATH`.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it is not there.
    pub fn find() -> Result<Self, StageError> {
        Ok(Self::at(Program::find(&[NAME])?.path))
    }

    /// The program at a place.
    #[must_use]
    pub fn at(program: PathBuf) -> Self {
        Self { program }
    }

    /// Declares the program, so that another one gives another key. The libraries that it loads are not declared.
    ///
    /// # Errors
    /// [`StageError::Failed`] if it is not in `PATH`.
    pub fn declare(scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        Program::find(&[NAME])?.declare(scan)
    }

    /// Decodes the first audio stream of a file held in memory. What the program says of errors while it goes on is a remark.
    ///
    /// # Errors
    /// [`MapError::Unusable`] with its last message if the program refuses the file or the sound is beyond `limits`;
    /// [`MapError::Failed`] if it cannot be run, is killed or takes too long, which says nothing about the file.
    pub fn decode(&self, bytes: &[u8], limits: &DecodeLimits) -> Result<Pcm, MapError> {
        // A file, for many formats have their index at the end.
        let input = tempfile::Builder::new().prefix("sndpipe-").tempfile().map_err(StageError::from)?;
        fs_err::write(input.path(), bytes).map_err(StageError::from)?;
        let mut command = Command::new(&self.program);
        command
            .args(["-nostdin", "-hide_banner", "-v", "error", "-threads", "1"])
            // A file may name others: none over the network.
            .args(["-protocol_whitelist", "file,pipe", "-i"])
            .arg(format!("file:{}", input.path().display()))
            .args(["-map", "0:a:0", "-t"])
            .arg(format!("{:.3}", limits.max_seconds + 1.0))
            .args(["-c:a", "pcm_f32le", "-bitexact", "-f", "wav", "pipe:1"])
            .env_clear()
            .envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs([("LC_ALL", "C"), ("AV_LOG_FORCE_NOCOLOR", "1")])
            // In a group of its own: an interrupt of this program must not end a file early.
            .process_group(0);
        let patience = PATIENCE + Duration::try_from_secs_f64(limits.max_seconds).unwrap_or(PATIENCE);
        let (status, wav, messages) = self.run(command, patience)?;
        match status.code() {
            Some(0) => {}
            // Ended by a signal, which it turns into this code.
            None | Some(255) => return Err(self.failed(&format!("was ended ({status})")).into()),
            Some(_) => return Err(MapError::Unusable(format!("ffmpeg: {}", last(&messages)))),
        }
        let mut pcm = samples(&wav, limits).map_err(|error| MapError::Unusable(error.to_string()))?;
        pcm.damage = remarks(&messages);
        Ok(pcm)
    }

    fn failed(&self, what: &str) -> StageError {
        StageError::failed(format!("`{}` {what}", self.program.display()))
            .help("run again; nothing was recorded for this file")
    }

    /// Runs it: its status, its output and its messages.
    fn run(
        &self,
        mut command: Command,
        patience: Duration,
    ) -> Result<(ExitStatus, Vec<u8>, String), StageError> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(&format!("cannot be run: {error}")))?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let pid = Pid::from_child(&child);
        let (done, waiting) = mpsc::channel::<()>();
        let mut wav = Vec::new();
        let (read, messages, late) = std::thread::scope(|scope| {
            let watchdog = scope.spawn(move || {
                let late = waiting.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout);
                // The child is not waited for yet, so that the number is still its own.
                late && kill_process(pid, Signal::KILL).is_ok()
            });
            let messages = scope.spawn(move || {
                let mut kept = Vec::new();
                if let Some(mut errors) = errors {
                    let whole = errors.by_ref().take(MESSAGES).read_to_end(&mut kept);
                    // The rest is read and dropped, or the program would wait for a reader.
                    let _ = whole.and_then(|_| std::io::copy(&mut errors, &mut std::io::sink()));
                }
                String::from_utf8_lossy(&kept).into_owned()
            });
            let most = 4 * MAX_SAMPLES + 4096;
            let read = output.map_or(Ok(0), |output| output.take(most).read_to_end(&mut wav));
            let messages = messages.join().unwrap_or_default();
            drop(done);
            (read, messages, watchdog.join().unwrap_or(false))
        });
        let status = child.wait()?;
        read?;
        if late {
            return Err(self.failed(&format!("took longer than {} s for a file", patience.as_secs())));
        }
        Ok((status, wav, messages))
    }
}

/// Reads a WAV stream of 32-bit floats whose sizes are unknown.
fn samples(wav: &[u8], limits: &DecodeLimits) -> Result<Pcm, DecodeError> {
    let short = || DecodeError::Corrupt { seconds: 0.0, detail: "ffmpeg wrote no samples".into() };
    let number = |at: usize| wav.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let (mut at, mut shape) = (12, None);
    let data = loop {
        let size = number(at + 4).ok_or_else(short)? as usize;
        match &wav[at..at + 4] {
            b"fmt " => {
                shape = number(at + 8).zip(number(at + 12)).map(|(tag, rate)| (rate, (tag >> 16) as usize))
            }
            b"data" => break &wav[at + 8..],
            _ => {}
        }
        at = at.saturating_add(8 + size + (size & 1)).min(wav.len());
    };
    let (sample_rate, count) = shape.ok_or_else(short)?;
    check_shape(sample_rate, count)?;
    let frames = data.len() / (4 * count);
    if frames == 0 {
        return Err(DecodeError::Empty);
    }
    check_length(frames as u64, sample_rate, count, limits)?;
    let mut channels = vec![Vec::with_capacity(frames); count];
    for frame in data.chunks_exact(4 * count) {
        for (channel, bytes) in channels.iter_mut().zip(frame.chunks_exact(4)) {
            channel.push(bytes.try_into().map_or(0.0, f32::from_le_bytes));
        }
    }
    for (channel, samples) in channels.iter().enumerate() {
        if let Some(index) = samples.iter().position(|x| !x.is_finite()) {
            return Err(DecodeError::NonFinite { channel, index, value: samples[index] });
        }
    }
    Ok(Pcm { sample_rate, channels, damage: Vec::new() })
}

/// Messages without what differs from run to run: addresses in memory and the name of the temporary file.
fn lines(messages: &str) -> impl Iterator<Item = String> + '_ {
    messages.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| {
        let mut tidy = String::new();
        for word in line.split(' ').filter(|word| *word != "@") {
            let address =
                word.strip_prefix("0x").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
            let word = if word.starts_with("file:") { "the file:" } else { address.unwrap_or(word) };
            if !tidy.is_empty() && address.is_none() {
                tidy.push(' ');
            }
            tidy.push_str(word);
        }
        tidy
    })
}

fn last(messages: &str) -> String {
    lines(messages).last().unwrap_or_else(|| "no message".to_owned())
}

/// What the program said of a file that it decoded; it does not say where.
fn remarks(messages: &str) -> Vec<Damage> {
    const TOLD: usize = 3;
    let mut all: Vec<String> = lines(messages).collect();
    all.dedup();
    let more = all.len().saturating_sub(TOLD);
    all.truncate(TOLD);
    if more > 0 {
        all.push(format!("and {more} more messages"));
    }
    all.into_iter().map(|line| Damage { seconds: 0.0, detail: format!("ffmpeg: {line}") }).collect()
}
