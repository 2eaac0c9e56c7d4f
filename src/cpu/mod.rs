//! Host kernels: one algorithm, thin files per instruction set.
//!
//! [`kernel`] holds the register-tile kernels, [`gemm`] the blocked and the streaming product around them. The
//! instruction set is chosen at run time ([`Isa`]), is part of every kernel path, and can be forced.

pub mod attention;
mod clock;
mod experts;
pub mod gemm;
mod isa;
pub mod kernel;
#[cfg(feature = "peers")]
mod peers;
mod roofline;
mod subject;

pub use isa::{ISA_VARIABLE, Isa};
#[cfg(feature = "peers")]
pub use peers::{Peer, PeerSubject};
pub use roofline::{Again, Ceilings};
pub use subject::{AttentionSubject, ExpertsSubject, GemmSubject, Peak, PeakSubject};

use crate::host;

/// Cache sizes that blocking is planned for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    /// Second-level cache of a core.
    pub l2: usize,
    /// Last-level cache divided by the workers that share it.
    pub l3_share: usize,
}

impl Caches {
    /// From what the host tells, for `workers` of which as many as possible share each last-level cache. Where it
    /// hides the second level, 256 KiB: as much as any server since 2011 has.
    pub fn of(caches: &host::Caches, workers: usize) -> Self {
        let l2 = caches.l2.unwrap_or(256 << 10);
        let sharers = workers.clamp(1, caches.last_level_sharers.max(1));
        Self { l2, l3_share: caches.l3.map_or(l2, |l3| l3 / sharers) }
    }
}

/// An address that workers share; each keeps to its own part.
struct Shared<T>(*mut T);

// SAFETY: only the address is shared; what is done with it is the users' contract.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// The address. A method, so that closures capture the whole.
    const fn get(&self) -> *mut T {
        self.0
    }
}
