//! Module scope: directives, variables, entries.

use super::body;
use super::cursor::Cursor;
use super::lexer::{Token, tokens};
use super::scope::Symbol;
use super::variable::declaration;
use super::{Function, Module, Param, PtxError, Variable};
use crate::tensor::Rules;
use std::collections::HashMap;

/// The most bytes of a parameter buffer (CUDA 12.1 on, sm_70 on).
const MAX_PARAM_BYTES: u32 = 32764;

/// A module-scope shared variable: it gets its place in each function that names it.
#[derive(Clone, Debug)]
pub(super) struct SharedVariable {
    pub size: u64,
    pub align: u64,
    /// `.extern`: the dynamic shared memory.
    pub dynamic: bool,
}

/// What module scope declares, as functions see it.
#[derive(Default)]
pub(super) struct Globals<'a> {
    pub symbols: HashMap<&'a str, Symbol>,
    pub shared: HashMap<&'a str, SharedVariable>,
}

/// Parses a whole text.
pub(super) fn parse(text: &str, rules: &Rules) -> Result<Module, PtxError> {
    let module = Module { rules: *rules, ..Module::default() };
    let mut parser =
        Parser { cursor: Cursor::new(tokens(text)?), module, globals: Globals::default() };
    while parser.cursor.peek().is_some() {
        parser.directive()?;
    }
    if parser.module.version == (0, 0) {
        return Err(PtxError { line: 1, message: "no .version: not a PTX text".into() });
    }
    Ok(parser.module)
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    module: Module,
    globals: Globals<'a>,
}

impl<'a> Parser<'a> {
    fn directive(&mut self) -> Result<(), PtxError> {
        let mut external = false;
        loop {
            let word = self.cursor.word()?;
            match word {
                ".extern" => external = true,
                ".visible" | ".weak" | ".common" => {}
                ".version" => return self.version(),
                ".target" => {
                    self.module.target = self.cursor.word()?.to_owned();
                    while self.cursor.take_mark(',') {
                        self.cursor.word()?;
                    }
                    return Ok(());
                }
                ".address_size" => {
                    return match self.cursor.small()? {
                        64 => Ok(()),
                        other => Err(self
                            .cursor
                            .error(format!(".address_size {other} is not modelled, only 64"))),
                    };
                }
                ".file" | ".loc" => {
                    self.cursor.skip_line();
                    return Ok(());
                }
                ".section" => {
                    self.cursor.word()?;
                    return self.cursor.skip_braces();
                }
                ".pragma" => {
                    self.cursor.next()?;
                    return self.cursor.expect(';');
                }
                ".global" | ".const" => return self.variable(word == ".const", external),
                ".shared" => return self.shared(external),
                ".func" => return self.function_declaration(),
                ".entry" => return self.entry(),
                _ => {
                    return Err(self
                        .cursor
                        .error(format!("{word} at module scope is not modelled")));
                }
            }
        }
    }

    fn version(&mut self) -> Result<(), PtxError> {
        // `8.8` lexes as a decimal literal.
        let Token::Double(bits) = self.cursor.next()? else {
            return Err(self.cursor.error(".version needs major.minor"));
        };
        let tenths = (f64::from_bits(bits) * 10.0).round();
        if !(10.0..=999.0).contains(&tenths) {
            return Err(self.cursor.error(".version is out of range"));
        }
        self.module.version = (tenths as u32 / 10, tenths as u32 % 10);
        Ok(())
    }

    fn variable(&mut self, constant: bool, external: bool) -> Result<(), PtxError> {
        let line = self.cursor.line();
        let found = declaration(&mut self.cursor)?;
        self.cursor.expect(';')?;
        if external {
            return Err(PtxError {
                line,
                message: format!("{}: linking of .extern variables is not modelled", found.name),
            });
        }
        let index = self.module.variables.len() as u32;
        self.define(found.name, Symbol::Variable(index, constant), line)?;
        self.module.variables.push(Variable {
            name: found.name.to_owned(),
            constant,
            size: found.size,
            align: found.align,
            initial: found.initial,
        });
        Ok(())
    }

    fn shared(&mut self, external: bool) -> Result<(), PtxError> {
        let line = self.cursor.line();
        let found = declaration(&mut self.cursor)?;
        self.cursor.expect(';')?;
        let variable = SharedVariable { size: found.size, align: found.align, dynamic: external };
        match self.globals.shared.insert(found.name, variable) {
            None => Ok(()),
            Some(_) => Err(PtxError { line, message: format!("{} is declared twice", found.name) }),
        }
    }

    fn define(&mut self, name: &'a str, symbol: Symbol, line: u32) -> Result<(), PtxError> {
        match self.globals.symbols.insert(name, symbol) {
            None => Ok(()),
            Some(_) => Err(PtxError { line, message: format!("{name} is declared twice") }),
        }
    }

    /// Device functions are skipped: a `call` of one is refused where it stands.
    fn function_declaration(&mut self) -> Result<(), PtxError> {
        loop {
            match self.cursor.peek() {
                Some(Token::Mark('{')) => return self.cursor.skip_braces(),
                Some(Token::Mark(';')) => return self.cursor.expect(';'),
                _ => _ = self.cursor.next()?,
            }
        }
    }

    fn entry(&mut self) -> Result<(), PtxError> {
        let line = self.cursor.line();
        let name = self.cursor.word()?;
        if self.module.functions.iter().any(|f| f.name == name) {
            return Err(PtxError { line, message: format!("entry {name} is defined twice") });
        }
        let mut function = Function { name: name.to_owned(), ..Function::default() };
        let mut names = Vec::new();
        if self.cursor.take_mark('(') {
            while !self.cursor.take_mark(')') {
                names.push(self.parameter(&mut function)?);
                self.cursor.take_mark(',');
            }
        }
        self.performance_directives(&mut function)?;
        if self.cursor.take_mark(';') {
            return Ok(()); // a prototype
        }
        body::parse(&mut self.cursor, &self.globals, &self.module.rules, &names, &mut function)?;
        self.module.functions.push(function);
        Ok(())
    }

    fn parameter(&mut self, function: &mut Function) -> Result<(&'a str, u32), PtxError> {
        let line = self.cursor.line();
        if !self.cursor.take_word(".param") {
            return Err(self.cursor.error("expected .param"));
        }
        let found = declaration(&mut self.cursor)?;
        let offset = u64::from(function.param_bytes).next_multiple_of(found.align);
        let end = offset.saturating_add(found.size);
        if end > u64::from(MAX_PARAM_BYTES) {
            return Err(PtxError {
                line,
                message: format!("more than {MAX_PARAM_BYTES} bytes of parameters"),
            });
        }
        function.param_bytes = end as u32;
        function.params.push(Param {
            name: found.name.to_owned(),
            offset: offset as u32,
            size: found.size as u32,
            align: found.align as u32,
        });
        Ok((found.name, offset as u32))
    }

    fn performance_directives(&mut self, function: &mut Function) -> Result<(), PtxError> {
        while let Some(Token::Word(word)) = self.cursor.peek().cloned() {
            self.cursor.word()?;
            match word {
                ".maxntid" => function.max_threads = Some(self.cursor.dimensions()?),
                ".reqntid" => function.required_threads = Some(self.cursor.dimensions()?),
                ".reqnctapercluster" => function.required_cluster = Some(self.cursor.dimensions()?),
                ".minnctapersm" => function.min_blocks_per_sm = Some(self.cursor.small()?),
                ".maxnreg" | ".maxnctapersm" | ".maxclusterrank" => _ = self.cursor.small()?,
                ".explicitcluster" => {}
                ".pragma" => {
                    self.cursor.next()?;
                    self.cursor.expect(';')?;
                }
                _ => return Err(self.cursor.error(format!("{word} on an entry is not modelled"))),
            }
        }
        Ok(())
    }
}
