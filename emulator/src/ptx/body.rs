//! Function bodies: declarations, labels, scopes, instructions.

use super::cursor::Cursor;
use super::decode::decode;
use super::instruction::{Code, Flow, Instruction, Op};
use super::lexer::Token;
use super::operand::{Space, at_line};
use super::parser::Globals;
use super::scope::{Fixup, Scopes, Symbol};
use super::variable::declaration;
use super::{Function, PtxError, Type};
use crate::tensor::Rules;
use std::sync::Arc;

/// Most instructions of a function.
const MAX_INSTRUCTIONS: usize = 1 << 20;
/// Most bytes of static shared or of local memory: beyond what any device has.
const MAX_STATIC_BYTES: u64 = 1 << 22;

/// Shared memory starts here: hardware reserves the first KiB from sm_90 on, and a null pointer is a fault everywhere.
pub const SHARED_BASE: u32 = 1024;
/// Dynamic shared memory starts at a multiple of this: swizzles work on address bits.
pub const DYNAMIC_ALIGN: u32 = 1024;

pub(super) struct Body<'a, 'c> {
    pub cursor: &'c mut Cursor<'a>,
    pub globals: &'c Globals<'a>,
    rules: &'c Rules,
    pub scopes: Scopes<'a>,
    code: Vec<Instruction>,
    pub shared: u64,
    local: u64,
    /// Uses of the dynamic array: its place is known at the end, so static variables are laid out first.
    pub dynamic: bool,
}

/// Parses `{ ... }` into `function.code`.
pub(super) fn parse<'a>(
    cursor: &mut Cursor<'a>,
    globals: &Globals<'a>,
    rules: &Rules,
    params: &[(&'a str, u32)],
    function: &mut Function,
) -> Result<(), PtxError> {
    let line = cursor.line();
    let mut body = Body {
        cursor,
        globals,
        rules,
        scopes: Scopes::new(),
        code: Vec::new(),
        shared: 0,
        local: 0,
        dynamic: false,
    };
    for (name, offset) in params {
        body.scopes.define(name, Symbol::Place(Space::Param, u64::from(*offset)), line)?;
    }
    // Module-scope shared variables come first: every function sees the same layout.
    let mut statics: Vec<_> = globals.shared.iter().filter(|(_, v)| !v.dynamic).collect();
    statics.sort_by_key(|(name, _)| **name);
    for (name, variable) in statics {
        body.place_shared(name, variable.size, variable.align, line)?;
    }
    body.cursor.expect('{')?;
    while body.statement()? {}
    body.finish(function)
}

impl<'a> Body<'a, '_> {
    /// Parses one statement; false at the function's closing brace.
    fn statement(&mut self) -> Result<bool, PtxError> {
        let line = self.cursor.line();
        match self.cursor.peek() {
            Some(Token::Mark('{')) => {
                self.cursor.next()?;
                self.scopes.open(line)?;
            }
            Some(Token::Mark('}')) => {
                self.cursor.next()?;
                return Ok(self.close());
            }
            Some(Token::Mark(';')) => _ = self.cursor.next()?,
            Some(Token::Word(word)) if word.starts_with('.') => self.directive()?,
            Some(Token::Word(word)) if self.cursor.peek_second() == Some(&Token::Mark(':')) => {
                let word = *word;
                self.cursor.next()?;
                self.cursor.next()?;
                self.label(word, line)?;
            }
            _ => self.instruction()?,
        }
        Ok(true)
    }

    fn label(&mut self, name: &'a str, line: u32) -> Result<(), PtxError> {
        if self.cursor.take_word(".branchtargets") {
            let mut labels = vec![self.cursor.word()?];
            while self.cursor.take_mark(',') {
                labels.push(self.cursor.word()?);
            }
            self.cursor.expect(';')?;
            self.scopes.branch_targets(name, labels);
            return Ok(());
        }
        self.scopes.label(name, self.code.len() as u32, line)
    }

    fn directive(&mut self) -> Result<(), PtxError> {
        let word = self.cursor.word()?;
        match word {
            ".loc" | ".file" => self.cursor.skip_line(),
            ".pragma" => {
                self.cursor.next()?;
                self.cursor.expect(';')?;
            }
            ".reg" => {
                let ty = self.cursor.word()?;
                self.registers(ty.strip_prefix('.').unwrap_or(ty))?;
            }
            // CUDA's headers write `.reg.b16` in inline assembly.
            _ if word.starts_with(".reg.") => self.registers(&word[5..])?,
            ".shared" | ".local" => loop {
                let line = self.cursor.line();
                let found = declaration(self.cursor)?;
                if word == ".shared" {
                    self.place_shared(found.name, found.size, found.align, line)?;
                } else {
                    let at = self.local.next_multiple_of(found.align);
                    self.local = self.limit(at.saturating_add(found.size), line)?;
                    self.scopes.define(found.name, Symbol::Place(Space::Local, at), line)?;
                }
                if !self.cursor.take_mark(',') {
                    self.cursor.expect(';')?;
                    break;
                }
            },
            _ => return Err(self.cursor.error(format!("{word} in a function is not modelled"))),
        }
        Ok(())
    }

    fn registers(&mut self, ty: &str) -> Result<(), PtxError> {
        let line = self.cursor.line();
        let ty = Type::parse(ty)
            .ok_or_else(|| self.cursor.error(format!(".{ty} registers are not modelled")))?;
        loop {
            let name = self.cursor.word()?;
            let count = if self.cursor.take_mark('<') {
                let count = self.cursor.small()?;
                self.cursor.expect('>')?;
                Some(count)
            } else {
                None
            };
            self.scopes.registers(name, ty, count, line)?;
            if !self.cursor.take_mark(',') {
                return self.cursor.expect(';');
            }
        }
    }

    fn limit(&self, bytes: u64, line: u32) -> Result<u64, PtxError> {
        if bytes > MAX_STATIC_BYTES {
            return Err(PtxError {
                line,
                message: format!("more than {MAX_STATIC_BYTES} bytes of shared or local memory"),
            });
        }
        Ok(bytes)
    }

    fn place_shared(
        &mut self,
        name: &'a str,
        size: u64,
        align: u64,
        line: u32,
    ) -> Result<(), PtxError> {
        let at = self.shared.next_multiple_of(align);
        self.shared = self.limit(at.saturating_add(size), line)?;
        self.scopes.define(name, Symbol::Place(Space::Shared, u64::from(SHARED_BASE) + at), line)
    }

    fn close(&mut self) -> bool {
        let (resolved, nested) = self.scopes.close();
        for (fixup, target) in resolved {
            match &mut self.code[fixup.instruction].op {
                Op::Flow(Flow::Branch(to)) => *to = target,
                Op::Flow(Flow::Switch { targets, .. }) => targets[fixup.slot] = target,
                _ => unreachable!("only branches have fixups"),
            }
        }
        nested
    }

    fn instruction(&mut self) -> Result<(), PtxError> {
        let line = self.cursor.line();
        if self.code.len() >= MAX_INSTRUCTIONS {
            return Err(self.cursor.error(format!("more than {MAX_INSTRUCTIONS} instructions")));
        }
        let mut guard = None;
        if self.cursor.take_mark('@') {
            let negated = self.cursor.take_mark('!');
            let word = self.cursor.word()?;
            let operand = self.name(word);
            guard = Some((operand.predicate_register().map_err(at_line(line))?, negated));
        }
        let opcode = self.cursor.word()?;
        let mut operands = Vec::new();
        while !self.cursor.take_mark(';') {
            operands.push(self.operand(0)?);
            if !self.cursor.at_mark(';') {
                self.cursor.expect(',')?;
            }
        }
        let mut labels = Vec::new();
        let op = decode(
            opcode,
            &operands,
            self.rules,
            |name| self.scopes.targets(name).map(<[_]>::to_vec),
            &mut labels,
        )
        .map_err(|message| PtxError { line, message: format!("{opcode}: {message}") })?;
        let instruction = self.code.len();
        for (slot, label) in labels.into_iter().enumerate() {
            self.scopes.fixup(Fixup { instruction, slot, label, line });
        }
        self.code.push(Instruction { guard, op, line });
        Ok(())
    }

    fn finish(self, function: &mut Function) -> Result<(), PtxError> {
        if let Some(fixup) = self.scopes.unresolved() {
            return Err(PtxError {
                line: fixup.line,
                message: format!("no label {}", fixup.label),
            });
        }
        function.static_shared = self.shared as u32;
        function.dynamic_shared = self.dynamic;
        function.local_bytes = self.local as u32;
        function.registers = self.scopes.words;
        function.code = Arc::new(Code {
            instructions: self.code,
            slots: self.scopes.slots as usize,
            predicates: self.scopes.predicates as usize,
        });
        Ok(())
    }
}
