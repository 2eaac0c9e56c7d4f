//! Turns the signal of an unreadable mapped page into an error.
//!
//! A page of a mapped file that can't be brought in (the file has shrunk, the device failed) raises `SIGBUS`, which
//! would kill the process and lose what it has measured. While a range is guarded, the handler puts zero pages in place
//! of the rest of it and takes a note; every other `SIGBUS` goes to the handler that was there before.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};

/// The guarded range: first byte and the one after the last, 0 when there is none.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
/// Whether a page of the range could not be read.
static HIT: AtomicBool = AtomicBool::new(false);
/// One range at a time.
static GUARD: Mutex<()> = Mutex::new(());
/// The handler that was there before, or why ours could not be installed.
static PREVIOUS: OnceLock<Result<libc::sigaction, i32>> = OnceLock::new();

/// Runs `operation`, which reads the `bytes` mapped at `start`.
///
/// # Errors
/// `EIO` when a page of them could not be read; what `operation` returned is dropped.
pub fn guarded<R>(start: *const u8, bytes: usize, operation: impl FnOnce() -> R) -> io::Result<R> {
    let _alone = GUARD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Err(errno) = PREVIOUS.get_or_init(install) {
        return Err(io::Error::from_raw_os_error(*errno));
    }
    HIT.store(false, SeqCst);
    END.store(start.addr() + bytes, SeqCst);
    START.store(start.addr(), SeqCst);
    let result = operation();
    START.store(0, SeqCst);
    END.store(0, SeqCst);
    if HIT.load(SeqCst) { Err(io::Error::from_raw_os_error(libc::EIO)) } else { Ok(result) }
}

fn install() -> Result<libc::sigaction, i32> {
    // SAFETY: all-zero bytes are a valid `sigaction`, whose fields are integers.
    let (mut ours, mut previous) =
        unsafe { (std::mem::zeroed::<libc::sigaction>(), std::mem::zeroed()) };
    ours.sa_sigaction = handle as *const () as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `handle` makes system calls and touches atomics only, which is allowed in a signal handler.
    match unsafe { libc::sigaction(libc::SIGBUS, &ours, &mut previous) } {
        0 => Ok(previous),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)),
    }
}

extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t`, which holds an address for this signal.
    let address = unsafe { (*info).si_addr() }.addr();
    let (start, end) = (START.load(SeqCst), END.load(SeqCst));
    if (start..end).contains(&address) && replace(address, end) {
        HIT.store(true, SeqCst);
        return;
    }
    match PREVIOUS.get() {
        Some(Ok(previous)) if previous.sa_sigaction > libc::SIG_IGN => {
            if previous.sa_flags & libc::SA_SIGINFO != 0 {
                type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
                // SAFETY: the kernel would have called this function with these arguments.
                let previous: Handler = unsafe { std::mem::transmute(previous.sa_sigaction) };
                previous(signal, info, context);
            } else {
                // SAFETY: as above, for a handler that takes the number only.
                let previous: extern "C" fn(i32) =
                    unsafe { std::mem::transmute(previous.sa_sigaction) };
                previous(signal);
            }
        }
        // SAFETY: back to the default, under which the faulting instruction ends the process.
        _ => unsafe {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        },
    }
}

/// Puts zero pages over everything from the page of `address` to `end`.
fn replace(address: usize, end: usize) -> bool {
    const PAGE: usize = 4096;
    let from = address / PAGE * PAGE;
    // SAFETY: inside the guarded range, which is a mapping of this module's only user.
    let mapped = unsafe {
        libc::mmap(
            from as *mut libc::c_void,
            end - from,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    mapped != libc::MAP_FAILED
}
