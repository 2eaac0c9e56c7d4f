//! Names inside a function: registers, variables and labels, by nested `{}`.
//!
//! Inline assembly repeats the same labels in scopes of their own, so a label is looked up from the inside out, and only
//! when its scope is complete: branches go forwards too.

use super::operand::{Operand, Reg, Space};
use super::{PtxError, Special, Type};
use std::collections::HashMap;

/// The most register slots of a function: 32 lanes of 8 bytes each, so 16 MiB a warp.
const MAX_SLOTS: u32 = 1 << 16;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Symbol {
    /// One register; for predicates the width is 1.
    Register(Reg),
    /// A place in shared, local or parameter space.
    Place(Space, u64),
    /// A module variable and whether it is constant.
    Variable(u32, bool),
}

/// `name<count>`: registers `name0` on.
#[derive(Clone, Copy, Debug)]
struct Family {
    first: Reg,
    stride: u32,
    count: u32,
}

/// A branch that waits for its label.
pub(super) struct Fixup<'a> {
    pub instruction: usize,
    pub slot: usize,
    pub label: &'a str,
    pub line: u32,
}

#[derive(Default)]
struct Scope<'a> {
    symbols: HashMap<&'a str, Symbol>,
    /// By the name before `<`; `a` and `a<2>` can stand side by side.
    families: HashMap<&'a str, Family>,
    labels: HashMap<&'a str, u32>,
    targets: HashMap<&'a str, Vec<&'a str>>,
    fixups: Vec<Fixup<'a>>,
}

/// The open scopes of a function, outermost first.
pub(super) struct Scopes<'a> {
    scopes: Vec<Scope<'a>>,
    /// Register slots given out.
    pub slots: u32,
    /// Predicates given out.
    pub predicates: u32,
    /// Bits of all general registers, in units of 32.
    pub words: u32,
}

impl<'a> Scopes<'a> {
    pub fn new() -> Self {
        Self { scopes: vec![Scope::default()], slots: 0, predicates: 0, words: 0 }
    }

    fn innermost(&mut self) -> &mut Scope<'a> {
        self.scopes.last_mut().expect("the outermost scope is never closed")
    }

    pub fn open(&mut self, line: u32) -> Result<(), PtxError> {
        if self.scopes.len() > 64 {
            return Err(PtxError { line, message: "scopes nested deeper than 64".into() });
        }
        self.scopes.push(Scope::default());
        Ok(())
    }

    /// Closes the innermost scope and returns its resolved branches; false if it was the outermost.
    pub fn close(&mut self) -> (Vec<(Fixup<'a>, u32)>, bool) {
        let scope = std::mem::take(self.innermost());
        let mut resolved = Vec::new();
        let mut open = Vec::new();
        for fixup in scope.fixups {
            match scope.labels.get(fixup.label) {
                Some(&target) => resolved.push((fixup, target)),
                None => open.push(fixup),
            }
        }
        let nested = self.scopes.len() > 1;
        if nested {
            self.scopes.pop();
        }
        self.innermost().fixups.append(&mut open);
        (resolved, nested)
    }

    /// A branch whose label no scope has.
    pub fn unresolved(&self) -> Option<&Fixup<'a>> {
        self.scopes[0].fixups.first()
    }

    pub fn define(&mut self, name: &'a str, symbol: Symbol, line: u32) -> Result<(), PtxError> {
        match self.innermost().symbols.insert(name, symbol) {
            None => Ok(()),
            Some(_) => Err(PtxError { line, message: format!("{name} is declared twice") }),
        }
    }

    /// Declares `name` or `name<count>` registers.
    pub fn registers(
        &mut self,
        name: &'a str,
        ty: Type,
        count: Option<u32>,
        line: u32,
    ) -> Result<(), PtxError> {
        let number = count.unwrap_or(1);
        let bits = ty.bits() as u8;
        let stride = if ty == Type::B128 { 2 } else { 1 };
        let counter = if ty == Type::Pred { &mut self.predicates } else { &mut self.slots };
        let index = *counter;
        *counter = counter.saturating_add(number.saturating_mul(stride));
        if *counter > MAX_SLOTS {
            return Err(PtxError { line, message: format!("more than {MAX_SLOTS} registers") });
        }
        if ty != Type::Pred {
            self.words += number * ty.bits().div_ceil(32);
        }
        let first = Reg { index, bits };
        if count.is_none() {
            return self.define(name, Symbol::Register(first), line);
        }
        match self.innermost().families.insert(name, Family { first, stride, count: number }) {
            None => Ok(()),
            Some(_) => Err(PtxError { line, message: format!("{name}<> is declared twice") }),
        }
    }

    pub fn label(&mut self, name: &'a str, target: u32, line: u32) -> Result<(), PtxError> {
        match self.innermost().labels.insert(name, target) {
            None => Ok(()),
            Some(_) => Err(PtxError { line, message: format!("label {name} is defined twice") }),
        }
    }

    pub fn branch_targets(&mut self, name: &'a str, labels: Vec<&'a str>) {
        self.innermost().targets.insert(name, labels);
    }

    pub fn targets(&self, name: &str) -> Option<&[&'a str]> {
        self.scopes.iter().rev().find_map(|s| s.targets.get(name)).map(Vec::as_slice)
    }

    pub fn fixup(&mut self, fixup: Fixup<'a>) {
        self.innermost().fixups.push(fixup);
    }

    /// What a word in an operand means.
    pub fn lookup(&self, word: &'a str, module: &HashMap<&'a str, Symbol>) -> Operand<'a> {
        if word == "_" {
            return Operand::Sink;
        }
        if word == "WARP_SZ" {
            return Operand::Integer(32);
        }
        let scopes = || self.scopes.iter().rev().map(|s| &s.symbols).chain(std::iter::once(module));
        if let Some(symbol) = scopes().find_map(|s| s.get(word)) {
            return match *symbol {
                Symbol::Register(reg) => register(reg),
                Symbol::Place(space, offset) => Operand::Symbol(space, offset),
                Symbol::Variable(index, constant) => Operand::Variable(index, constant),
            };
        }
        // `%r12` of `.reg .b32 %r<73>`.
        let base = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if let Ok(number) = word[base.len()..].parse::<u32>() {
            let families = self.scopes.iter().rev().filter_map(|s| s.families.get(base));
            if let Some(family) = families.into_iter().find(|f| number < f.count) {
                let index = family.first.index + number * family.stride;
                return register(Reg { index, bits: family.first.bits });
            }
        }
        Special::parse(word).map_or(Operand::Name(word), Operand::Special)
    }
}

fn register<'a>(reg: Reg) -> Operand<'a> {
    if reg.bits == 1 { Operand::Predicate(reg.index) } else { Operand::Register(reg) }
}
