//! PTX text to a pre-decoded module.
//!
//! [`Module::parse`] reads the text once; instructions become enums with resolved registers, so nothing matches strings
//! at run time. Text is untrusted: anything malformed or unknown is a [`PtxError`] that names the line.

mod alu_op;
mod async_op;
mod body;
mod body_operand;
mod cursor;
mod decode;
mod error;
mod instruction;
mod lexer;
mod module;
mod operand;
mod parser;
mod scope;
mod special;
mod tensor_op;
mod types;
mod variable;

pub(crate) use alu_op::*;
pub(crate) use async_op::*;
pub(crate) use body::{DYNAMIC_ALIGN, SHARED_BASE};
pub(crate) use decode::combine;
pub use error::PtxError;
pub(crate) use instruction::*;
pub use module::{Function, Module, Param, Variable};
pub(crate) use operand::{Address, Pred, PredSource, Reg, Source, Space};
pub(crate) use special::Special;
pub(crate) use tensor_op::{Scale, Tcgen05Op, TensorMmaOp, TensorOp, WgmmaOp};
pub(crate) use types::Type;
