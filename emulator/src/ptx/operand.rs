//! Operands: as parsed, and as instructions hold them.

use super::{PtxError, Special, Type};

/// Where an address points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Any of them, told apart by the address.
    Generic,
    /// Device memory.
    Global,
    /// The executing block's shared memory.
    Shared,
    /// Shared memory of any block of the cluster.
    SharedCluster,
    /// The thread's own memory.
    Local,
    /// Kernel parameters.
    Param,
    /// Constant variables.
    Const,
}

/// A general register: a slot of 32 lanes of 64 bits (two slots for `.b128`), holding values zero-extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg {
    /// Slot.
    pub index: u32,
    /// Declared width.
    pub bits: u8,
}

/// A predicate register: one bit a lane.
pub type Pred = u32;

/// A predicate operand, possibly negated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PredSource {
    /// A register, negated if the flag is set.
    Register(Pred, bool),
    /// A constant.
    Constant(bool),
}

/// A value that an instruction reads, one a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A register.
    Register(Reg),
    /// The same for all lanes.
    Constant(u64),
    /// A special register.
    Special(Special),
    /// A place in the executing block's shared memory; its address depends on the block's rank in the cluster.
    Shared(u32),
    /// Address of a module variable, known once the module is loaded.
    Variable(u32),
}

/// An address: a value and a displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The value.
    pub base: Source,
    /// Bytes added to it.
    pub offset: i64,
}

/// An operand as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand<'a> {
    Register(Reg),
    Predicate(Pred),
    NotPredicate(Pred),
    Integer(u64),
    Single(u32),
    Double(u64),
    Special(Special),
    /// A module variable and whether it is constant.
    Variable(u32, bool),
    /// A symbol at a fixed place of a space.
    Symbol(Space, u64),
    /// A name that is none of the above: a label.
    Name(&'a str),
    Vector(Vec<Operand<'a>>),
    /// `[base + offset, {coordinates}]`.
    Address {
        base: Box<Operand<'a>>,
        offset: i64,
        coordinates: Option<Vec<Operand<'a>>>,
    },
    /// `d|p`.
    Pair(Box<Operand<'a>>, Box<Operand<'a>>),
    /// `_`.
    Sink,
}

impl Operand<'_> {
    /// The value that an instruction of the given type reads.
    pub fn source(&self, ty: Type) -> Result<Source, String> {
        Ok(match self {
            Self::Register(reg) if u32::from(reg.bits) < ty.bits() => {
                return Err(format!(
                    "a {}-bit register where {} bits are read",
                    reg.bits,
                    ty.bits()
                ));
            }
            Self::Register(reg) => Source::Register(*reg),
            Self::Integer(value) if ty == Type::F32 => {
                Source::Constant(u64::from((*value as i64 as f32).to_bits()))
            }
            Self::Integer(value) if ty == Type::F64 => {
                Source::Constant((*value as i64 as f64).to_bits())
            }
            Self::Integer(value) => Source::Constant(*value & low_bits(ty.bits())),
            Self::Single(bits) if ty.bits() == 32 => Source::Constant(u64::from(*bits)),
            Self::Single(bits) if ty == Type::F64 => {
                Source::Constant(f64::from(f32::from_bits(*bits)).to_bits())
            }
            Self::Double(bits) if ty.bits() == 64 => Source::Constant(*bits),
            Self::Double(bits) if ty == Type::F32 || ty == Type::B32 => {
                Source::Constant(u64::from((f64::from_bits(*bits) as f32).to_bits()))
            }
            Self::Special(special) => Source::Special(*special),
            Self::Variable(index, _) => Source::Variable(*index),
            Self::Symbol(Space::Shared, offset) => Source::Shared(*offset as u32),
            Self::Symbol(_, offset) => Source::Constant(*offset),
            Self::Name(name) => return Err(format!("unknown name {name}")),
            other => return Err(format!("an operand that is no {ty:?} value: {other:?}")),
        })
    }

    /// A register that an instruction of the given type writes.
    pub fn register(&self, ty: Type) -> Result<Reg, String> {
        match self {
            Self::Register(reg) if u32::from(reg.bits) >= ty.bits() => Ok(*reg),
            Self::Register(reg) => {
                Err(format!("a {}-bit register where {} bits are written", reg.bits, ty.bits()))
            }
            Self::Name(name) => Err(format!("unknown name {name}")),
            other => Err(format!("not a destination: {other:?}")),
        }
    }

    /// A predicate that an instruction reads.
    pub fn predicate(&self) -> Result<PredSource, String> {
        match self {
            Self::Predicate(pred) => Ok(PredSource::Register(*pred, false)),
            Self::NotPredicate(pred) => Ok(PredSource::Register(*pred, true)),
            Self::Integer(value) => Ok(PredSource::Constant(*value != 0)),
            other => Err(format!("not a predicate: {other:?}")),
        }
    }

    /// A predicate that an instruction writes.
    pub fn predicate_register(&self) -> Result<Pred, String> {
        match self {
            Self::Predicate(pred) => Ok(*pred),
            other => Err(format!("not a predicate register: {other:?}")),
        }
    }

    /// An integer constant.
    pub fn constant(&self) -> Result<u64, String> {
        match self {
            Self::Integer(value) => Ok(*value),
            other => Err(format!("not an integer constant: {other:?}")),
        }
    }

    /// An address without coordinates.
    pub fn address(&self) -> Result<Address, String> {
        match self {
            Self::Address { base, offset, coordinates: None } => {
                Ok(Address { base: base.address_base()?, offset: *offset })
            }
            other => Err(format!("not an address: {other:?}")),
        }
    }

    /// A tensor map's address and the coordinates.
    pub fn tensor_address(&self) -> Result<(Address, Vec<Source>), String> {
        match self {
            Self::Address { base, offset, coordinates: Some(coordinates) } => {
                let coordinates =
                    coordinates.iter().map(|c| c.source(Type::B32)).collect::<Result<_, _>>()?;
                Ok((Address { base: base.address_base()?, offset: *offset }, coordinates))
            }
            other => Err(format!("not a tensor address: {other:?}")),
        }
    }

    fn address_base(&self) -> Result<Source, String> {
        match self {
            Self::Register(reg) if reg.bits >= 32 => Ok(Source::Register(*reg)),
            Self::Integer(_) | Self::Symbol(..) | Self::Variable(..) => self.source(Type::B64),
            Self::Name(name) => Err(format!("unknown name {name}")),
            other => Err(format!("not an address: {other:?}")),
        }
    }

    /// The operands of a vector; any other operand is a vector of one.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Vector(elements) => elements,
            other => std::slice::from_ref(other),
        }
    }
}

/// A mask of the low bits; all 64 for 64 and more.
pub(super) fn low_bits(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}

/// An error of an instruction at a line.
pub(super) fn at_line(line: u32) -> impl Fn(String) -> PtxError {
    move |message| PtxError { line, message }
}
