//! The most that the tensor cores can do: measured by loops of nothing but tensor instructions, and by published rates.
//!
//! Each loop ([`Loop`]) multiplies random operands that stay in registers (shared memory for wgmma, which reads them there);
//! every sum is checked. The loops read the multiprocessor's clock while they run, so the theoretical ceiling beside them
//! is the one of the clock that the device really had.

mod loops;
mod measured;
mod operands;
mod subject;
mod theory;

pub use loops::{Instruction, Loop};
pub use measured::measured;
pub use subject::TensorPeak;
pub use theory::{boost_clock, is_geforce, operations_per_cycle, theoretical};
