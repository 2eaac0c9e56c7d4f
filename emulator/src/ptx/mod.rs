//! PTX text to a pre-decoded module.
//!
//! [`Module::parse`] reads the text once; instructions become enums with resolved registers, so nothing matches strings
//! at run time. Text is untrusted: anything malformed or unknown is a [`PtxError`] that names the line.

mod error;
mod module;

pub use error::PtxError;
pub use module::{Function, Module, Param, Variable};
