//! Which run this process belongs to, and the directory it writes to.
//!
//! `cargo bench` starts one process a bench executable, and they share no state but their parent. The parent's process
//! id alone is reused sooner or later, so a run is identified by boot id, parent and the parent's start time; its
//! first process makes the directory, later ones find it by the `session` file. A bench executable that was not
//! started by cargo is a run of its own.

use std::path::{Path, PathBuf};

use super::store::Store;
use crate::{Error, Result};

/// File in a run's directory that identifies the `cargo bench` it belongs to.
const SESSION_FILE: &str = "session";

/// One run's directory.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    /// Where this process writes.
    pub path: PathBuf,
    /// Whether this process made it, and so is the run's first.
    pub created: bool,
}

impl RunDirectory {
    /// Finds or makes the directory of the run that `session` identifies.
    ///
    /// The name is the start time, the label and a number where needed: names sort by time.
    ///
    /// # Errors
    /// The results directory can't be made or written.
    pub fn open(store: &Store, session: &str, label: Option<&str>, now: &str) -> Result<Self> {
        let runs = store.runs_directory();
        let advice = |e| Error::path("make", runs, e);
        std::fs::create_dir_all(runs).map_err(advice)?;
        for path in store.list()? {
            if std::fs::read_to_string(path.join(SESSION_FILE)).is_ok_and(|s| s == session) {
                return Ok(Self { path, created: false });
            }
        }
        let stem = match label.map(file_name_safe) {
            Some(label) if !label.is_empty() => format!("{}-{label}", file_name_safe(now)),
            _ => file_name_safe(now),
        };
        for attempt in 1.. {
            let name = if attempt == 1 { stem.clone() } else { format!("{stem}-{attempt}") };
            let path = runs.join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => {
                    let file = path.join(SESSION_FILE);
                    std::fs::write(&file, session).map_err(|e| Error::path("write", &file, e))?;
                    return Ok(Self { path, created: true });
                }
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::path("make", &path, e)),
            }
        }
        unreachable!("the loop ends by returning")
    }
}

/// Letters, digits, `.`, `_` and `-` are kept; runs of anything else become one `-`.
fn file_name_safe(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars().take(80) {
        match c {
            c if c.is_ascii_alphanumeric() || c == '.' || c == '_' => safe.push(c),
            _ if safe.ends_with('-') => {}
            _ => safe.push('-'),
        }
    }
    safe.trim_matches(['-', '.']).to_owned()
}

/// What identifies the `cargo bench` that started this process; the process itself when it was not cargo.
///
/// `proc` is `/proc`, or a stand-in for it in tests.
pub fn session(proc: &Path, boot_id: &str, pid: u32, parent: u32) -> String {
    let started_by_cargo = std::fs::read_to_string(proc.join(format!("{parent}/comm")))
        .is_ok_and(|name| name.starts_with("cargo"));
    let leader = if started_by_cargo { parent } else { pid };
    let start = start_time(proc, leader).unwrap_or_default();
    format!("{boot_id} {leader} {start}")
}

/// Field 22 of `/proc/<pid>/stat`: start in clock ticks after boot. The second field, the command in parentheses, may
/// itself hold spaces and parentheses, so fields are counted from the last one.
fn start_time(proc: &Path, pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(proc.join(format!("{pid}/stat"))).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, pid: u32, command: &str, start: u64) {
        let dir = proc.join(pid.to_string());
        std::fs::create_dir_all(&dir).expect("made");
        std::fs::write(dir.join("comm"), format!("{command}\n")).expect("written");
        let zeros = "0 ".repeat(17);
        std::fs::write(dir.join("stat"), format!("{pid} ({command} (x) y) S 1 {zeros}{start} 0 0"))
            .expect("written");
    }

    #[test]
    fn processes_of_one_cargo_share_a_session() {
        let proc = tempfile::tempdir().expect("temporary directory");
        process(proc.path(), 10, "cargo", 777);
        process(proc.path(), 11, "gemm-1234", 800);
        process(proc.path(), 12, "dram-5678", 900);
        let of = |pid| session(proc.path(), "boot", pid, 10);
        assert_eq!(of(11), "boot 10 777");
        assert_eq!(of(11), of(12));
        // A later cargo with the same process id is another session.
        process(proc.path(), 10, "cargo", 999);
        assert_eq!(of(12), "boot 10 999");
        assert_ne!(session(proc.path(), "boot", 12, 10), session(proc.path(), "next boot", 12, 10));
    }

    #[test]
    fn a_process_of_a_shell_is_its_own_session() {
        let proc = tempfile::tempdir().expect("temporary directory");
        process(proc.path(), 5, "bash", 1);
        process(proc.path(), 6, "gemm-1", 2);
        process(proc.path(), 7, "gemm-1", 3);
        assert_eq!(session(proc.path(), "b", 6, 5), "b 6 2");
        assert_eq!(session(proc.path(), "b", 7, 5), "b 7 3");
    }

    #[test]
    fn a_session_finds_its_directory_again() {
        let results = tempfile::tempdir().expect("temporary directory");
        let store = Store::new(results.path());
        let now = "2026-11-24T03:20:11Z";
        let open =
            |session, label| RunDirectory::open(&store, session, label, now).expect("opened");
        let first = open("a", Some("nps 1/../x"));
        let again = open("a", Some("nps 1/../x"));
        let other = open("b", Some("nps 1/../x"));
        assert!(first.created && !again.created && other.created);
        assert_eq!(first.path, again.path);
        assert_ne!(first.path, other.path);
        assert_eq!(first.path.parent(), Some(store.runs_directory()), "a label is no path");
        assert_eq!(open("c", None).path.file_name().expect("named"), "2026-11-24T03-20-11Z");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let results = tempfile::tempdir().expect("temporary directory");
        std::fs::write(results.path().join("runs"), "").expect("written");
        let error = RunDirectory::open(&Store::new(results.path()), "a", None, "now")
            .expect_err("not a directory");
        assert!(error.to_string().contains("runs"), "{error}");
    }
}
