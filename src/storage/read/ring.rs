//! Reads through io_uring: many in flight from one thread, one system call for a batch.
//!
//! Everything beyond a plain ring is asked for and dropped step by step, and each refusal is kept: task-work flags
//! (kernels before 6.1), registered memory (limited by `ulimit -l`), registered files. A kernel or container that
//! refuses io_uring altogether gives an error; the caller then falls back to [`super::pread`].

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::{IoUring, opcode, types};

use super::blocks::REGISTERED_BYTES;
use super::drive::{Completion, Queue, Read};
use super::refusal::Refusal;
use crate::host::{Buffer, Disjoint};

/// Most reads in flight that a ring is made for.
const MAX_DEPTH: usize = 4096;

/// A set-up flag, by its name.
type Flags = (&'static str, fn(&mut io_uring::Builder));

/// Set-up flags, best first. DEFER_TASKRUN (kernel 6.1, only with SINGLE_ISSUER) runs completions when this thread
/// asks for them, COOP_TASKRUN (5.19) without interrupting it; a polling kernel thread goes with neither.
const FLAGS: [Flags; 5] = [
    ("SINGLE_ISSUER|DEFER_TASKRUN", |b| {
        b.setup_single_issuer().setup_defer_taskrun();
    }),
    ("SINGLE_ISSUER|COOP_TASKRUN", |b| {
        b.setup_single_issuer().setup_coop_taskrun();
    }),
    ("COOP_TASKRUN", |b| {
        b.setup_coop_taskrun();
    }),
    ("SINGLE_ISSUER", |b| {
        b.setup_single_issuer();
    }),
    ("no flags", |_| {}),
];

/// What a refusal of registered memory is called.
pub const REGISTERED: &str = "registered memory";

/// Who waits busily, to save interrupts or system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polling {
    /// Nobody.
    None,
    /// This thread, for completions (IOPOLL): direct reads only; needs a driver with poll queues
    /// (`nvme.poll_queues`, 0 unless set).
    Completions,
    /// A kernel thread, for submissions (SQPOLL), which sleeps after this many idle milliseconds.
    Submissions(u32),
}

/// Memory that is registered: address, length, and index of its first piece.
type Registered = (usize, usize, u16);

/// Memory to be registered, by address, so that rings of several threads can share it.
#[derive(Debug, Clone, Default)]
pub struct Memories {
    registered: Vec<Registered>,
    /// Address and length of each piece.
    pieces: Vec<(usize, usize)>,
}

impl Memories {
    /// Cuts `memories` into the pieces that the kernel takes.
    pub fn of<'m>(memories: impl IntoIterator<Item = &'m mut Buffer>) -> Self {
        let mut all = Self::default();
        for memory in memories {
            let (start, length) = (memory.as_mut_ptr().expose_provenance(), memory.len());
            all.registered.push((start, length, all.pieces.len() as u16));
            let cuts = (0..length).step_by(REGISTERED_BYTES);
            all.pieces.extend(cuts.map(|at| (start + at, (length - at).min(REGISTERED_BYTES))));
        }
        all
    }
}

/// A ring of one thread.
pub struct Ring {
    ring: IoUring,
    depth: usize,
    flags: &'static str,
    registered: Vec<Registered>,
    files_registered: bool,
    /// Whether files were registered when they last could have been.
    takes_files: bool,
    refusals: Vec<Refusal>,
}

impl Ring {
    /// A ring that holds `depth` reads in flight.
    ///
    /// # Errors
    /// What refuses io_uring altogether.
    pub fn new(depth: usize) -> Result<Self, Refusal> {
        Self::with(depth, Polling::None)
    }

    /// [`Self::new`] with polling.
    ///
    /// # Errors
    /// What refuses io_uring, or this kind of polling, altogether.
    pub fn with(depth: usize, polling: Polling) -> Result<Self, Refusal> {
        let depth = depth.clamp(1, MAX_DEPTH);
        let mut refusals = Vec::new();
        for (name, set) in FLAGS {
            let mut builder = IoUring::builder();
            set(&mut builder);
            match polling {
                Polling::None => {}
                Polling::Completions => drop(builder.setup_iopoll()),
                Polling::Submissions(idle_ms) => drop(builder.setup_sqpoll(idle_ms)),
            }
            match builder.build(depth.next_power_of_two() as u32) {
                Ok(ring) => {
                    return Ok(Self {
                        ring,
                        depth,
                        flags: name,
                        registered: Vec::new(),
                        files_registered: false,
                        takes_files: false,
                        refusals,
                    });
                }
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                    refusals.push(Refusal::new(format!("io_uring with {name}"), &e));
                }
                Err(e) => return Err(Refusal::new("io_uring", &e)),
            }
        }
        Err(Refusal { asked: "io_uring".into(), errno: libc::EINVAL })
    }

    /// Registers `memories`, so that the kernel maps them once and not at every read; a refusal is kept, and reads
    /// then name plain addresses. Memory that the ring `first` has registered already is shared with it where the
    /// kernel can (6.12), so that it is pinned and counted against `ulimit -l` once.
    ///
    /// Reads into memory at these addresses go to the pages that are there now: register anew before memory that was
    /// registered is replaced by other memory.
    pub fn register(&mut self, memories: &Memories, first: Option<RawFd>) {
        self.unregister();
        if memories.pieces.is_empty() {
            return;
        }
        let submitter = self.ring.submitter();
        let cloned = first.map(|first| submitter.register_buffers_clone(first));
        let done = match cloned {
            Some(Ok(())) => Ok(()),
            _ => {
                let piece = |&(start, length): &(usize, usize)| libc::iovec {
                    iov_base: std::ptr::with_exposed_provenance_mut(start),
                    iov_len: length,
                };
                let pieces: Vec<libc::iovec> = memories.pieces.iter().map(piece).collect();
                // SAFETY: the pieces were memory; the kernel pins their pages until they are unregistered or the ring
                // is closed, so memory that is freed first stays allocated, and no read is in flight then.
                unsafe { submitter.register_buffers(&pieces) }
            }
        };
        match done {
            Ok(()) => self.registered.clone_from(&memories.registered),
            Err(e) => self.note(Refusal::new(REGISTERED, &e)),
        }
    }

    /// Keeps a refusal, once.
    fn note(&mut self, refusal: Refusal) {
        if !self.refusals.contains(&refusal) {
            self.refusals.push(refusal);
        }
    }

    /// Whether memory is registered.
    pub fn has_registered(&self) -> bool {
        !self.registered.is_empty()
    }

    /// What other rings name this one by.
    pub fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    fn unregister(&mut self) {
        if !self.registered.is_empty() {
            self.registered.clear();
            let _ = self.ring.submitter().unregister_buffers(); // fails only when nothing is registered
        }
    }

    /// Registers `files`, so that the kernel looks them up once; a refusal is kept. They stay registered until
    /// [`Self::forget_files`].
    pub fn register_files(&mut self, files: &[File]) {
        self.forget_files();
        let descriptors: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
        match self.ring.submitter().register_files(&descriptors) {
            Ok(()) => self.files_registered = true,
            Err(e) => self.note(Refusal::new("registered files", &e)),
        }
        self.takes_files = self.files_registered;
    }

    /// Lets go of registered files.
    pub fn forget_files(&mut self) {
        if std::mem::take(&mut self.files_registered) {
            let _ = self.ring.submitter().unregister_files(); // closing the ring would do it too
        }
    }

    /// This ring as a queue of reads from `files`, those that are registered if any are, into `memory`.
    pub fn queue<'a>(
        &'a mut self,
        files: &'a [File],
        memory: &'a Disjoint<'a, u8>,
        align: u64,
    ) -> RingQueue<'a> {
        let here = (memory.as_mut_ptr().addr(), memory.len());
        let fixed = self.registered.iter().find(|r| (r.0, r.1) == here).map(|r| r.2);
        RingQueue { ring: self, files, memory, align: align as usize, fixed }
    }

    /// Keeps no more than `depth` reads in flight from now on, at most as many as the ring was made for.
    pub fn limit(&mut self, depth: usize) {
        self.depth = depth.clamp(1, self.ring.params().sq_entries() as usize);
    }

    /// What was given, for the kernel path.
    pub fn path(&self) -> String {
        let mut path = String::from("io_uring/direct");
        for (given, name) in [
            (self.ring.params().is_setup_iopoll(), "+iopoll"),
            (self.ring.params().is_setup_sqpoll(), "+sqpoll"),
            (!self.registered.is_empty(), "+registered-memory"),
            (self.takes_files, "+registered-files"),
        ] {
            if given {
                path += name;
            }
        }
        path
    }

    /// Set-up flags of the ring.
    pub fn flags(&self) -> &'static str {
        self.flags
    }

    /// What was asked for and not given.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }
}

/// A ring, its files and its memory, for as long as reads may be in flight.
pub struct RingQueue<'a> {
    ring: &'a mut Ring,
    files: &'a [File],
    memory: &'a Disjoint<'a, u8>,
    align: usize,
    /// Index of the first registered piece of `memory`.
    fixed: Option<u16>,
}

impl Queue for RingQueue<'_> {
    fn depth(&self) -> usize {
        self.ring.depth
    }

    fn align(&self) -> usize {
        self.align
    }

    fn push(&mut self, tag: usize, read: Read) -> io::Result<()> {
        let end = read.at.checked_add(read.bytes).filter(|&end| end <= self.memory.len());
        let descriptor = self.files.get(read.file).ok_or(io::ErrorKind::InvalidInput)?.as_raw_fd();
        let (Some(_), Ok(bytes)) = (end, u32::try_from(read.bytes)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let at = self.memory.as_mut_ptr().wrapping_add(read.at);
        let index = self.fixed.map(|first| first + (read.at / REGISTERED_BYTES) as u16);
        let file = types::Fixed(read.file as u32);
        let plain = types::Fd(descriptor);
        let entry = match (index, self.ring.files_registered) {
            (Some(index), true) => {
                opcode::ReadFixed::new(file, at, bytes, index).offset(read.offset).build()
            }
            (Some(index), false) => {
                opcode::ReadFixed::new(plain, at, bytes, index).offset(read.offset).build()
            }
            (None, true) => opcode::Read::new(file, at, bytes).offset(read.offset).build(),
            (None, false) => opcode::Read::new(plain, at, bytes).offset(read.offset).build(),
        };
        // SAFETY: the read ends inside `memory`, which is borrowed for as long as this queue lives; blocks in flight
        // are disjoint, on this ring and on others.
        unsafe { self.ring.ring.submission().push(&entry.user_data(tag as u64)) }
            .map_err(|_| io::ErrorKind::WouldBlock.into())
    }

    fn wait(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        loop {
            let submitted = self.ring.ring.submit_and_wait(1);
            let before = done.len();
            let completed = self.ring.ring.completion();
            done.extend(completed.map(|c| (c.user_data() as usize, i64::from(c.result()))));
            if done.len() > before {
                return Ok(());
            }
            match submitted {
                Ok(_) => {}
                Err(e)
                    if matches!(
                        e.raw_os_error(),
                        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
                    ) => {}
                Err(e) => return Err(e),
            }
        }
    }
}
