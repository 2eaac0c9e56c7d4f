//! Hosts that refuse io_uring or registered memory.

use super::super::*;
use super::{files, open, poisoned, through};

/// Runs `operation` on a thread of its own, so that what it does to itself ends with it.
fn on_a_thread(operation: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(operation).join().unwrap());
}

/// Makes io_uring answer `errno` to this thread and those that it starts; false where filters are themselves forbidden.
fn forbid_io_uring(errno: i32) -> bool {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let refuse = libc::SECCOMP_RET_ERRNO | errno as u32;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        op(load, 0, 0, 0), // number of the system call
        op(equal, 0, 1, libc::SYS_io_uring_setup as u32),
        op(answer, 0, 0, refuse),
        op(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: both calls affect this thread and its children only, which end with the test; the program outlives the call.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) == 0
    }
}

#[test]
fn a_container_that_forbids_io_uring_is_recognised_and_reads_all_the_same() {
    for (errno, polling) in [
        (libc::EPERM, ring::Polling::None),
        (libc::ENOSYS, ring::Polling::Submissions(10)),
        (libc::EPERM, ring::Polling::Completions),
    ] {
        on_a_thread(|| {
            if !forbid_io_uring(errno) {
                return;
            }
            let refusal = ring::Ring::new(4).err().expect("forbidden");
            assert_eq!(refusal.errno, errno);
            assert!(refusal.to_string().contains("seccomp"), "{refusal}");

            let mut reader = Reader::new(&[0, 0], 4, polling).unwrap();
            assert_eq!(reader.path(), "pread/direct x8 threads");
            assert_eq!((reader.flags(), reader.refusals()), (None, vec![refusal.to_string()]));
            let (_dir, paths, contents) = files(&[3_000_000]);
            let files = open(&paths, 0).unwrap();
            let cut = Blocks::whole_files(&[3_000_000], 1 << 16, 512);
            let mut memory = poisoned(cut.memory);
            reader.register([&mut memory]);
            reader.open(&files, 512).read(&cut.blocks, &mut memory).unwrap();
            assert!(memory.as_slice::<u8>()[..3_000_000] == contents[0]);
            reader.limit(1, 2);
            assert_eq!(reader.path(), "pread/direct x2 threads");

            let rungs = ladder::probe(&paths[0], 4096, None);
            let refused: Vec<Option<i32>> =
                rungs.iter().map(|rung| rung.refused.as_ref().map(|r| r.errno)).collect();
            assert_eq!(refused[1..5], [Some(errno); 4], "{rungs:?}");
            assert_eq!(refused[6], None, "{rungs:?}");
        });
    }
}

#[test]
fn too_little_lockable_memory_leaves_a_ring_that_works() {
    on_a_thread(|| {
        // Drop every capability of this thread, CAP_IPC_LOCK among them.
        let header = [0x2008_0522_u32, 0];
        let none = [0_u32; 6];
        let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
        // SAFETY: capset affects this thread; both arrays have the layout of version 3 of the call.
        let dropped =
            unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } == 0;
        let mut before = limit;
        // SAFETY: plain query and change of a limit that only this test depends on.
        unsafe {
            libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut before);
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &libc::rlimit { rlim_cur: 64 << 10, ..before });
        }
        let outcome = dropped.then(|| ring::Ring::new(4)).and_then(Result::ok).map(|mut ring| {
            let (_dir, paths, contents) = files(&[3_000_000]);
            let files = open(&paths, 0).unwrap();
            let cut = Blocks::whole_files(&[3_000_000], 1 << 16, 512);
            let mut memory = poisoned(cut.memory);
            ring.register(&ring::Memories::of([&mut memory]), None);
            through(&mut ring, &files, &cut, &mut memory).unwrap();
            (
                ring.refusals().to_vec(),
                ring.path(),
                memory.as_slice::<u8>()[..3_000_000] == contents[0],
            )
        });
        // SAFETY: restores what was found.
        unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &before) };
        let Some((refusals, path, right)) = outcome else { return };
        assert!(right);
        assert!(!path.contains("registered-memory"), "{path}");
        assert!(refusals.iter().any(|r| r.to_string().contains("ulimit -l")), "{refusals:?}");
    });
}
