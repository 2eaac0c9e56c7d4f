//! Starts workers until every subject is checked. It never opens the GPU itself: a context of its own would hold memory,
//! and in exclusive mode the device.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::worker::Step;
use super::{Arguments, Checked, Outcome};
use crate::{Error, Result};

/// A subject that takes longer than this hangs: on a GPU each takes seconds, on the emulated device of the tests up to
/// a minute.
const PATIENCE: Duration = Duration::from_secs(600);

/// Every subject that `arguments` ask for, checked by as many workers as it takes.
///
/// # Errors
/// Nothing can be checked (no device), or no worker can be started.
pub fn run(arguments: &Arguments) -> Result<Vec<Checked>> {
    let mut checked = Vec::new();
    loop {
        let before = checked.len();
        match Worker::start(arguments, before)?.follow(PATIENCE, &mut checked)? {
            End::Done => return Ok(checked),
            End::Replaced if checked.len() > before => {}
            End::Replaced => {
                return Err(Error::Unavailable(
                    "the process that checks ends before it checks anything: see above".into(),
                ));
            }
        }
    }
}

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// With everything checked.
    Done,
    /// Before that: another one goes on after the last subject.
    Replaced,
}

/// A running worker.
struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(arguments: &Arguments, first: usize) -> Result<Self> {
        let failed = |e| {
            Error::os("can't start the process that checks", e, "Check the limits of processes")
        };
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["selftest", "--gpu", &arguments.gpu.to_string()]);
        command.args(["--worker", &first.to_string()]);
        // A name that begins with a dash is no option.
        command.arg("--").args(&arguments.filter);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self::follow_up(command.spawn().map_err(failed)?)
    }

    /// Reads what `child` tells in a thread of its own, so that waiting for it can end.
    fn follow_up(mut child: Child) -> Result<Self> {
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let told = BufReader::new(stdout).lines().map_while(std::result::Result::ok);
                told.map(|line| sender.send(line)).take_while(std::result::Result::is_ok).count()
            });
        }
        Ok(Self { child, lines })
    }

    /// Adds what the worker checks to `checked`, also the subject that ends it.
    fn follow(mut self, patience: Duration, checked: &mut Vec<Checked>) -> Result<End> {
        let mut at: Option<(String, Instant)> = None;
        let end = loop {
            let step = match self.lines.recv_timeout(patience) {
                Ok(line) => serde_json::from_str(&line),
                Err(RecvTimeoutError::Disconnected) => break None,
                Err(RecvTimeoutError::Timeout) => {
                    break Some(format!("it hangs: no end after {} s", patience.as_secs()));
                }
            };
            match step {
                Ok(Step::Refused(why)) => return Err(Error::Unavailable(why)),
                Ok(Step::Begins(id)) => at = Some((id, Instant::now())),
                Ok(Step::Checked(subject)) => {
                    at = None;
                    checked.push(subject);
                }
                Ok(Step::Lost) => return Ok(End::Replaced),
                Ok(Step::Done) => return Ok(End::Done),
                // Not ours: a library that prints.
                Err(_) => {}
            }
        };
        let status = self.end();
        let reason = end.unwrap_or_else(|| match status {
            Some(status) => format!("the process died with it: {status}"),
            None => "the process died with it".into(),
        });
        if let Some((id, since)) = at {
            checked.push(Checked {
                id,
                outcome: Outcome::Wrong,
                checked: 0,
                error_over_tolerance: 0.0,
                seconds: since.elapsed().as_secs_f64(),
                reason: Some(reason),
            });
        }
        Ok(End::Replaced)
    }

    /// Ends the process where it has not ended, and waits for it.
    fn end(&mut self) -> Option<ExitStatus> {
        // An error means that it has ended.
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It told all that it had to. The next one wants the GPU, which a lost context may take long to give back.
        let _ = self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What following a shell that runs `script` gives.
    fn followed(script: &str, patience: Duration) -> (Result<End>, Vec<Checked>) {
        let mut command = Command::new("sh");
        let child = command.args(["-c", script]).stdout(Stdio::piped()).spawn().expect("a shell");
        let mut checked = Vec::new();
        let end = Worker::follow_up(child).expect("read").follow(patience, &mut checked);
        (end, checked)
    }

    const ENOUGH: Duration = Duration::from_secs(60);

    #[test]
    fn a_process_that_dies_leaves_the_name_of_its_subject_and_how_it_died() {
        let (end, checked) = followed(r#"echo '{"Begins":"a"}'; kill -SEGV $$"#, ENOUGH);
        assert_eq!(end.expect("followed"), End::Replaced);
        let [died] = checked.as_slice() else { panic!("{checked:?}") };
        assert_eq!((died.id.as_str(), died.outcome), ("a", Outcome::Wrong));
        assert!(died.reason.as_deref().is_some_and(|r| r.contains("SIGSEGV")), "{died:?}");
    }

    #[test]
    fn one_that_hangs_is_ended() {
        let script = r#"echo '{"Begins":"a"}'; exec sleep 1000"#;
        let (end, checked) = followed(script, Duration::from_secs(2));
        assert_eq!(end.expect("followed"), End::Replaced);
        assert!(checked[0].reason.as_deref().is_some_and(|r| r.contains("hangs")), "{checked:?}");
    }

    #[test]
    fn the_end_is_told_from_a_refusal_and_from_foreign_lines() {
        let (end, checked) = followed(r#"echo hello; echo '"Done"'"#, ENOUGH);
        assert_eq!((end.expect("followed"), checked.len()), (End::Done, 0));
        let (end, _) = followed(r#"echo '{"Refused":"no GPU"}'"#, ENOUGH);
        assert!(matches!(end, Err(Error::Unavailable(why)) if why == "no GPU"));
    }
}
