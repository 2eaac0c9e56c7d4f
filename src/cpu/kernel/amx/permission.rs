//! Whether this process may use the tile registers.
//!
//! They hold 8 KiB a thread, so Linux keeps them off until a process asks (Documentation/arch/x86/xstate.rst):
//! `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`, once for all threads, those that already run included.

use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::sync::OnceLock;

/// Request code of `arch_prctl`: asks for the permission to use a state component.
const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
/// The state component of the tile registers; the one before it holds their configuration.
const XFEATURE_XTILEDATA: u32 = 18;

/// Whether the CPU has AMX with bf16 and int8 products, and the kernel lets this process use it. Asks the kernel when
/// it is called first.
pub fn granted() -> bool {
    static GRANTED: OnceLock<bool> = OnceLock::new();
    *GRANTED.get_or_init(|| cpu_has_it() && system_saves_it() && ask())
}

/// CPUID leaf 7, EDX: AMX-BF16, AMX-TILE, AMX-INT8 (Intel, 64 and IA-32 Architectures Software Developer's Manual,
/// volume 2A).
fn cpu_has_it() -> bool {
    const NEEDED: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & NEEDED == NEEDED
}

/// XCR0: the operating system saves the tile registers and their configuration.
fn system_saves_it() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    if __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let needed = 0b11 << (XFEATURE_XTILEDATA - 1);
    // SAFETY: OSXSAVE says that the instruction is there.
    unsafe { xcr0() & needed == needed }
}

#[target_feature(enable = "xsave")]
unsafe fn xcr0() -> u64 {
    // SAFETY: the caller's contract.
    unsafe { _xgetbv(0) }
}

fn ask() -> bool {
    // SAFETY: takes two numbers and changes nothing but the permission.
    let refused =
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) };
    refused == 0
}
