//! What shells showed, as files of their own (asciicast v2), for the job's owner and admins. What was typed is not recorded: a
//! terminal that hides a password shows nothing of it, and what it does show of the rest is output.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kernel::{AccountId, JobId, RecordingId, Seconds};
use protocol::audit::{ActorKind, AuditAction, RECORDING_BYTES_MAX, RECORDING_DAYS, RecordingView};
use protocol::tunnel::Shell;
use protocol::view::Scope;
use sha2::{Digest, Sha256};
use store::{Recording, RecordingEnd};
use tokio::io::AsyncWriteExt;

use crate::actor::Actor;
use crate::audit::Act;
use crate::desk::{Exchange, file_error};
use crate::error::Error;

/// Of one job together: whoever opens shells without end fills no disk. What is open counts as full.
const JOB_BYTES_MAX: u64 = 64 * RECORDING_BYTES_MAX;
/// What is kept in memory before it is written, and for how long.
const WRITE_BYTES: usize = 8 * 1024;
pub const RECORDING_WRITTEN_AFTER: Duration = Duration::from_secs(2);
/// Room for the line that says that it is cut.
const MARK_BYTES: u64 = 128;
const AT_ONCE: u32 = 200;
const SHOWN: u32 = 100;
/// A page shows so many lines of one; the file has all.
pub const TRANSCRIPT_LINES_MAX: usize = 2_000;

/// Writes down what one shell shows.
#[derive(Debug)]
pub struct Recorder {
    id: RecordingId,
    path: PathBuf,
    file: Option<tokio::fs::File>,
    waiting: Vec<u8>,
    written_at: Duration,
    /// The begin of a letter whose end has not come.
    torn: Vec<u8>,
    size: u64,
    cut: bool,
}

/// One line of a transcript: since the shell was opened, and what stood there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptLine {
    pub at: Duration,
    pub text: String,
}

impl Recorder {
    async fn begin(id: RecordingId, path: PathBuf, head: String, full: bool) -> Self {
        let mut recorder = Self {
            id,
            path,
            file: None,
            waiting: Vec::new(),
            written_at: Duration::ZERO,
            torn: Vec::new(),
            size: 0,
            cut: full,
        };
        if full {
            return recorder;
        }
        match recorder.create().await {
            Ok(file) => recorder.file = Some(file),
            Err(error) => recorder.fail(&error),
        }
        recorder.put(head);
        recorder.write(Duration::ZERO).await;
        recorder
    }

    async fn create(&self) -> std::io::Result<tokio::fs::File> {
        if let Some(folder) = self.path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        tokio::fs::File::create_new(&self.path).await
    }

    pub const fn id(&self) -> RecordingId {
        self.id
    }

    /// Somebody works in a job that they pay for: a full disk takes their record, not their shell.
    fn fail(&mut self, error: &std::io::Error) {
        tracing::error!(recording = %self.id, %error, "what a shell shows cannot be recorded");
        self.file = None;
        self.cut = true;
    }

    fn put(&mut self, line: String) {
        self.size = self
            .size
            .saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        self.waiting.extend(line.into_bytes());
    }

    /// What came out, so long after the shell was opened.
    pub async fn shown(&mut self, at: Duration, bytes: &[u8]) {
        if self.cut {
            return;
        }
        self.torn.extend_from_slice(bytes);
        let whole = whole_letters(&self.torn);
        let rest = self.torn.split_off(whole);
        let text = String::from_utf8_lossy(&std::mem::replace(&mut self.torn, rest)).into_owned();
        if text.is_empty() {
            return;
        }
        let line = event(at, "o", &text);
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let room = RECORDING_BYTES_MAX.saturating_sub(MARK_BYTES);
        if self.size.saturating_add(length) > room {
            self.cut = true;
            self.put(event(at, "m", "the recording ends here: it is full"));
            self.write(at).await;
            return;
        }
        self.put(line);
        if self.waiting.len() >= WRITE_BYTES {
            self.write(at).await;
        } else {
            self.written_by(at).await;
        }
    }

    /// Writes what has waited long enough. Called every [`RECORDING_WRITTEN_AFTER`] too: a shell that shows nothing more must
    /// not keep its last words in memory until it ends.
    pub async fn written_by(&mut self, at: Duration) {
        let waited = at.saturating_sub(self.written_at) >= RECORDING_WRITTEN_AFTER;
        if waited && !self.waiting.is_empty() {
            self.write(at).await;
        }
    }

    async fn write(&mut self, at: Duration) {
        self.written_at = at;
        let waiting = std::mem::take(&mut self.waiting);
        let Some(file) = &mut self.file else { return };
        let written = async {
            file.write_all(&waiting).await?;
            file.flush().await
        };
        if let Err(error) = written.await {
            self.fail(&error);
        }
    }

    /// What was recorded is on the disk.
    async fn finish(&mut self) {
        if !self.torn.is_empty() && !self.cut {
            let text = String::from_utf8_lossy(&self.torn).into_owned();
            self.put(event(self.written_at, "o", &text));
        }
        self.write(self.written_at).await;
        let Some(file) = &self.file else { return };
        if let Err(error) = file.sync_all().await {
            self.fail(&error);
        }
    }
}

/// How many of the bytes are whole letters, or none at all whatever follows.
fn whole_letters(bytes: &[u8]) -> usize {
    let mut from = 0;
    loop {
        let rest = bytes.get(from..).unwrap_or_default();
        match str::from_utf8(rest) {
            Ok(_) => return bytes.len(),
            Err(error) => match error.error_len() {
                // No letter begins like this.
                Some(wrong) => {
                    from = from
                        .saturating_add(error.valid_up_to())
                        .saturating_add(wrong);
                }
                None => return from.saturating_add(error.valid_up_to()),
            },
        }
    }
}

/// One line of asciicast v2: `[1.250, "o", "text"]`.
fn event(at: Duration, kind: &str, text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        "[{}.{:03}, \"{kind}\", {text}]\n",
        at.as_secs(),
        at.subsec_millis()
    )
}

/// A recording as lines of text: without colours and movements of the cursor, each with the time at which it began.
pub fn transcript(file: &str) -> Vec<TranscriptLine> {
    let mut lines = vec![TranscriptLine {
        at: Duration::ZERO,
        text: String::new(),
    }];
    let (mut escape, mut returned) = (Escape::None, false);
    for event in file.lines().skip(1) {
        let Ok((at, kind, text)) = serde_json::from_str::<(f64, String, String)>(event) else {
            continue;
        };
        let at = Duration::try_from_secs_f64(at).unwrap_or_default();
        if kind == "m" {
            lines.push(TranscriptLine { at, text });
            continue;
        }
        for letter in text.chars() {
            let Some(line) = lines.last_mut() else { break };
            if line.text.is_empty() {
                line.at = at;
            }
            if std::mem::take(&mut returned) && letter != '\n' {
                // It is written over: a bar that grows, a line that is edited.
                line.text.clear();
            }
            escape = escape.next(letter);
            match letter {
                _ if escape != Escape::None && escape != Escape::Over => {}
                _ if escape == Escape::Over => escape = Escape::None,
                '\r' => returned = true,
                '\n' => lines.push(TranscriptLine {
                    at,
                    text: String::new(),
                }),
                '\u{8}' => _ = line.text.pop(),
                '\t' => line.text.push('\t'),
                other if other.is_control() => {}
                other => line.text.push(other),
            }
        }
    }
    lines.retain(|line| !line.text.is_empty());
    lines
}

/// Where in a terminal's command a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// `ESC [ … letter`
    Control,
    /// `ESC ] … BEL`, and its like, up to `ESC \`.
    Text,
    TextEnds,
    /// One letter more that names a set of letters.
    Set,
    /// This letter was its last.
    Over,
}

impl Escape {
    const fn next(self, letter: char) -> Self {
        match (self, letter) {
            (Self::None | Self::Over, '\u{1b}') => Self::Begun,
            (Self::None | Self::Over, _) => Self::None,
            (Self::Begun, '[') => Self::Control,
            (Self::Begun, ']' | 'P' | 'X' | '^' | '_') => Self::Text,
            (Self::Begun, '(' | ')' | '*' | '+' | '#' | ' ' | '%') => Self::Set,
            (Self::Control, '\u{40}'..='\u{7e}')
            | (Self::Text, '\u{7}')
            | (Self::Begun | Self::Set | Self::TextEnds, _) => Self::Over,
            (Self::Text, '\u{1b}') => Self::TextEnds,
            (inside @ (Self::Control | Self::Text), _) => inside,
        }
    }
}

impl Exchange {
    fn recording_path(&self, job: JobId, id: RecordingId) -> PathBuf {
        self.data("recordings", &job.to_string())
            .join(format!("{id}.cast"))
    }

    /// The row of a shell that is opened now.
    pub(crate) fn new_recording(
        &self,
        actor: &Actor,
        (job, member): (JobId, u32),
        program: &str,
    ) -> Recording {
        let now = self.now();
        Recording {
            id: RecordingId::new(now, self.random()),
            job,
            member,
            account: actor.account,
            program: program.to_owned(),
            opened_at: now,
            end: None,
        }
    }

    /// `others`: the bytes of the job's recordings, with this one.
    pub(crate) async fn record(&self, of: &Recording, shell: &Shell, others: u64) -> Recorder {
        let full = others > JOB_BYTES_MAX || self.check_free_space().is_err();
        let size = shell
            .size
            .unwrap_or(protocol::tunnel::Size { cols: 80, rows: 24 });
        let head = serde_json::json!({
            "version": 2,
            "width": size.cols,
            "height": size.rows,
            "timestamp": of.opened_at.millis().div_euclid(1_000),
            "title": format!("{} {}", of.job, of.program).trim_end(),
        });
        let path = self.recording_path(of.job, of.id);
        Recorder::begin(of.id, path, format!("{head}\n"), full).await
    }

    pub(crate) async fn end_of_recording(&self, recorder: &mut Recorder) -> RecordingEnd {
        recorder.finish().await;
        self.ended_file(&recorder.path, recorder.cut).await
    }

    /// A file that cannot be read counts as none: that the shell ended is noted whatever becomes of what it showed.
    async fn ended_file(&self, path: &Path, cut: bool) -> RecordingEnd {
        let read = match tokio::fs::read(path).await {
            Err(error) => {
                // Of one that was full from the beginning there is no file.
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::error!(path = %path.display(), %error, "a recording cannot be read");
                }
                None
            }
            Ok(bytes) => Some(bytes),
        };
        let cut = cut || read.is_none();
        let bytes = read.unwrap_or_default();
        RecordingEnd {
            at: self.now(),
            size_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            sha256: hex::encode(Sha256::digest(&bytes)),
            cut,
        }
    }

    /// Closes the recordings of shells that were open when a process ended. Only for the process that serves.
    ///
    /// # Errors
    /// The database failed.
    pub async fn close_recordings(&self) -> Result<(), Error> {
        loop {
            let open = self.inner.store.recordings_over(None, AT_ONCE).await?;
            if open.is_empty() {
                return Ok(());
            }
            for recording in open {
                let path = self.recording_path(recording.job, recording.id);
                let end = self.ended_file(&path, true).await;
                let owner = self.owner_of(recording.job).await?;
                let act = Act::by_other(
                    ActorKind::System,
                    "",
                    AuditAction::ShellClosed,
                    recording.job,
                    owner,
                )
                .with("why", "the server ended");
                let mut tx = self.inner.store.begin().await?;
                tx.end_recording(recording.id, &end).await?;
                self.audit(&mut tx, recorded(act, recording.id, &end))
                    .await?;
                tx.commit().await?;
            }
        }
    }

    pub(crate) async fn owner_of(&self, job: JobId) -> Result<Option<AccountId>, Error> {
        Ok(self.inner.store.job(job).await?.map(|job| job.account))
    }

    /// Forgets recordings that are old: the file first, so that none is left without its row.
    pub(crate) async fn prune_recordings(&self) -> Result<(), Error> {
        let kept = Seconds::new(u64::from(RECORDING_DAYS).saturating_mul(86_400));
        let before = Some(self.now().minus(kept));
        let old = self.inner.store.recordings_over(before, AT_ONCE).await?;
        if old.is_empty() {
            return Ok(());
        }
        for recording in &old {
            let path = self.recording_path(recording.job, recording.id);
            match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(file_error("removing a recording", &path, error));
                }
                _ => {}
            }
            if let Some(folder) = path.parent() {
                // Not while others are in it.
                _ = tokio::fs::remove_dir(folder).await;
            }
        }
        let mut tx = self.inner.store.begin().await?;
        for recording in old {
            tx.delete_recording(recording.id).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Shells in one of the actor's jobs, newest first.
    ///
    /// # Errors
    /// Not this account's job.
    pub async fn recordings(&self, actor: &Actor, job: JobId) -> Result<Vec<RecordingView>, Error> {
        self.own_job(actor, job, Scope::Read).await?;
        Ok(self.inner.store.recordings(job, SHOWN).await?)
    }

    /// What one shell showed: of which job, by whom, and where its file lies. That an admin looks at another's is noted.
    ///
    /// # Errors
    /// Neither this account's job nor an admin; unknown, or removed after its time.
    pub async fn recording(
        &self,
        actor: &Actor,
        id: RecordingId,
    ) -> Result<(JobId, RecordingView, PathBuf), Error> {
        actor.require(Scope::Read)?;
        let unknown = || Error::NotFound("the recording");
        let recording = self.inner.store.recording(id).await?.ok_or_else(unknown)?;
        let job = recording.job;
        let owner = self.owner_of(job).await?;
        let own = owner == Some(actor.account);
        if !own {
            actor.require_admin().map_err(|_| unknown())?;
            let act = Act::by_admin(actor, AuditAction::RecordingViewed, id, owner);
            self.audit_alone(act.with("job", job)).await?;
        }
        let by = self.inner.store.account(recording.account).await?;
        let by = by.map(|account| account.email).unwrap_or_default();
        let path = self.recording_path(job, id);
        Ok((job, recording.view(by), path))
    }

    /// The lines of one, for a page.
    ///
    /// # Errors
    /// As of [`Exchange::recording`].
    pub async fn recording_text(
        &self,
        actor: &Actor,
        id: RecordingId,
    ) -> Result<(JobId, RecordingView, Vec<TranscriptLine>), Error> {
        let (job, view, path) = self.recording(actor, id).await?;
        let file = match tokio::fs::read(&path).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|source| file_error("reading a recording", &path, source))?,
        };
        Ok((job, view, transcript(&String::from_utf8_lossy(&file))))
    }
}

/// With what the file is, so that it cannot be replaced.
pub(crate) fn recorded(act: Act, id: RecordingId, end: &RecordingEnd) -> Act {
    let act = act
        .with("recording", id)
        .with("recording_bytes", end.size_bytes)
        .with("recording_sha256", &end.sha256);
    if end.cut {
        act.with("recording_cut", "yes")
    } else {
        act
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_never_torn() {
        let text = "a é 机".as_bytes();
        for end in 0..=text.len() {
            let whole = whole_letters(&text[..end]);
            assert!(str::from_utf8(&text[..whole]).is_ok(), "{end}");
            assert!(end - whole < 4, "{end}");
        }
        // What never becomes a letter is not waited for.
        assert_eq!(whole_letters(b"a\xff\xffb"), 4);
        assert_eq!(whole_letters(b"\xff\xe6\x9c"), 1);
    }

    #[test]
    fn a_line_is_asciicast() {
        let at = Duration::from_millis(61_005);
        assert_eq!(event(at, "o", "a\"\n"), "[61.005, \"o\", \"a\\\"\\n\"]\n");
    }

    #[test]
    fn a_transcript_is_what_stood_there() {
        let file = [
            "{\"version\": 2}\n".to_owned(),
            event(
                Duration::from_millis(500),
                "o",
                "\u{1b}]0;title\u{7}\u{1b}[1;32m$\u{1b}[0m lss",
            ),
            event(
                Duration::from_millis(1_500),
                "o",
                "\u{8}\r\nfile\u{1b}(B\u{1b}[K\r\n",
            ),
            "not a line\n".to_owned(),
            event(Duration::from_secs(2), "m", "cut"),
        ]
        .concat();
        let lines: Vec<(u128, String)> = transcript(&file)
            .into_iter()
            .map(|line| (line.at.as_millis(), line.text))
            .collect();
        assert_eq!(
            lines,
            [
                (500, "$ ls".to_owned()),
                (1_500, "file".to_owned()),
                (2_000, "cut".to_owned())
            ]
        );
    }

    #[tokio::test]
    async fn a_recording_is_cut_at_its_bound_and_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("job/rec.cast");
        let id = RecordingId::new(kernel::Timestamp::from_millis(1), [1; 10]);
        let mut recorder = Recorder::begin(id, path.clone(), "{}\n".into(), false).await;
        let piece = vec![b'x'; 64 * 1024];
        for second in 0..20 {
            recorder.shown(Duration::from_secs(second), &piece).await;
        }
        recorder.finish().await;
        let size = std::fs::metadata(&path).expect("the file").len();
        assert!(recorder.cut && size <= RECORDING_BYTES_MAX, "{size}");
        let file = std::fs::read_to_string(&path).expect("the file");
        assert_eq!(file.lines().count(), 17);
        assert!(
            file.lines().last().expect("a line").contains("\"m\""),
            "{size}"
        );
    }
}
