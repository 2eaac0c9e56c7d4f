//! Numbers as PTX defines them: formats, conversions, single-rounding arithmetic, approximations.
//!
//! Everything here is a pure function of register bits. Values travel as `f64`, which holds every
//! value of every format up to `f32` exactly; where an operation's exact result needs more bits
//! than that, the `f64` is *rounded to odd* ([`exact`]), so that the one rounding to the
//! destination format that follows is the correct one. The instruction forms ([`cvt`], [`packed`],
//! [`approx`]) parse their own qualifiers and refuse what the ISA does not list.

pub mod approx;
pub mod cvt;
pub mod double;
pub mod exact;
pub mod format;
mod integer;
pub mod packed;

pub use format::{Format, Overflow, Rounding};
