//! What the kernel refused on the way down from the best way of reading to one that works.

use std::fmt;
use std::io;

/// What a refusal of one polled read is called.
pub const POLLED: &str = "one polled read";

/// A feature that was asked for and not given.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// What was asked for.
    pub asked: String,
    /// The operating system's answer.
    pub errno: i32,
}

impl Refusal {
    /// `error` was the answer to `asked`.
    pub fn new(asked: impl Into<String>, error: &io::Error) -> Self {
        Self { asked: asked.into(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.asked, io::Error::from_raw_os_error(self.errno))?;
        match self.errno {
            libc::ENOMEM => f.write_str("; raise `ulimit -l` to allow more locked memory"),
            libc::EPERM | libc::ENOSYS => {
                f.write_str("; a container's seccomp filter or kernel.io_uring_disabled forbids it")
            }
            libc::EOPNOTSUPP if self.asked == POLLED => {
                f.write_str("; polled reads need a driver with poll queues: nvme.poll_queues=N")
            }
            _ => Ok(()),
        }
    }
}
