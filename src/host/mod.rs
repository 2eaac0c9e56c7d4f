//! The host: topology, binding and its proof, environment fingerprint.
//!
//! Two halves. What runs: [`threads`] pins one worker a core, [`buffer`] maps memory of a known page kind where a
//! [`policy`] says, [`pages`] asks the kernel where pages are, [`cache`] tells how large a cold working set has to be,
//! [`destination`] is what host memory is emptied into. What describes: [`topology`] and [`nps`] the machine's shape,
//! [`environment`] its settings, [`bios`] those of the firmware that the user attached, [`conditions`] the moment;
//! [`record`] puts them together. Nothing here writes a setting, and all files are read through [`root`].

mod barrier;
pub mod bios;
pub mod buffer;
pub mod cache;
mod cgroup;
pub mod conditions;
pub mod cpus;
pub mod destination;
pub mod disjoint;
pub mod environment;
pub mod list;
pub mod nps;
pub mod pages;
pub mod policy;
pub mod record;
pub mod root;
pub mod threads;
pub mod topology;

pub use buffer::Buffer;
pub use cache::Caches;
pub use conditions::Conditions;
pub use destination::{Destination, Piece};
pub use disjoint::Disjoint;
pub use environment::Environment;
pub use pages::{Census, Pages};
pub use policy::Policy;
pub use record::{HostRecord, boot_id};
pub use root::{Reading, Root};
pub use threads::{Worker, Workers};
pub use topology::Topology;
