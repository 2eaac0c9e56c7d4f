//! What direct I/O on a file has to be aligned to: `statx(STATX_DIOALIGN)` of kernel 6.1 and later, else 4096.

use std::fs::File;
use std::os::fd::AsRawFd;

/// Alignment in bytes when the kernel does not tell: the largest logical block of disks in use.
pub const ASSUMED: u64 = 4096;

/// Alignment in bytes that file offsets, lengths and memory of direct reads of `file` all satisfy.
///
/// `None` when the kernel says that the file supports no direct I/O.
pub fn direct(file: &File) -> Option<u64> {
    let mut answer = std::mem::MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path is an empty NUL-terminated string, `answer` is large enough for the call to fill.
    let status = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            answer.as_mut_ptr(),
        )
    };
    // SAFETY: zeroed, then perhaps filled: valid either way, since every field is an integer.
    let answer = unsafe { answer.assume_init() };
    if status != 0 || answer.stx_mask & libc::STATX_DIOALIGN == 0 {
        return Some(ASSUMED);
    }
    let (memory, offset) = (answer.stx_dio_mem_align, answer.stx_dio_offset_align);
    (memory != 0 && offset != 0).then(|| u64::from(memory.max(offset)).next_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_is_a_power_of_two_that_direct_reads_accept() {
        let file = tempfile::tempfile_in(".").unwrap();
        let Some(align) = direct(&file) else { return };
        assert!(align.is_power_of_two() && (1..=1 << 20).contains(&align), "{align}");
    }
}
