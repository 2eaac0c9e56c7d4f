//! Operands of an instruction in a function body.

use super::PtxError;
use super::body::{Body, DYNAMIC_ALIGN, SHARED_BASE};
use super::lexer::Token;
use super::operand::{Operand, Space};

impl<'a> Body<'a, '_> {
    /// What a word means; a first use of dynamic shared memory is noted.
    pub fn name(&mut self, word: &'a str) -> Operand<'a> {
        if self.globals.shared.get(word).is_some_and(|v| v.dynamic) {
            self.dynamic = true;
            let end = SHARED_BASE + self.shared as u32;
            return Operand::Symbol(Space::Shared, u64::from(end.next_multiple_of(DYNAMIC_ALIGN)));
        }
        self.scopes.lookup(word, &self.globals.symbols)
    }

    pub fn operand(&mut self, depth: u32) -> Result<Operand<'a>, PtxError> {
        if depth > 4 {
            return Err(self.cursor.error("operand nested too deeply"));
        }
        let token = self.cursor.next()?;
        let operand = match token {
            Token::Word(word) => {
                let found = self.name(word);
                self.symbol_offset(found)?
            }
            Token::Mark('!') => {
                let word = self.cursor.word()?;
                let pred =
                    self.name(word).predicate_register().map_err(|m| self.cursor.error(m))?;
                Operand::NotPredicate(pred)
            }
            Token::Mark('-') => match self.cursor.next()? {
                Token::Integer(value) => Operand::Integer(value.wrapping_neg()),
                Token::Double(bits) => Operand::Double(bits ^ 1 << 63),
                Token::Single(bits) => Operand::Single(bits ^ 1 << 31),
                other => return Err(self.cursor.error(format!("-{other:?} is not an operand"))),
            },
            Token::Integer(value) => Operand::Integer(value),
            Token::Single(bits) => Operand::Single(bits),
            Token::Double(bits) => Operand::Double(bits),
            Token::Mark('{') => Operand::Vector(self.list('}', depth)?),
            Token::Mark('[') => self.address(depth)?,
            other => return Err(self.cursor.error(format!("{other:?} is not an operand"))),
        };
        if self.cursor.take_mark('|') {
            let second = self.operand(depth + 1)?;
            return Ok(Operand::Pair(Box::new(operand), Box::new(second)));
        }
        Ok(operand)
    }

    /// `symbol+4` outside brackets.
    fn symbol_offset(&mut self, operand: Operand<'a>) -> Result<Operand<'a>, PtxError> {
        match operand {
            Operand::Symbol(space, place) if self.cursor.at_mark('+') => {
                self.cursor.next()?;
                Ok(Operand::Symbol(space, place + u64::from(self.cursor.small()?)))
            }
            other => Ok(other),
        }
    }

    fn list(&mut self, end: char, depth: u32) -> Result<Vec<Operand<'a>>, PtxError> {
        let mut found = Vec::new();
        while !self.cursor.take_mark(end) {
            found.push(self.operand(depth + 1)?);
            if !self.cursor.at_mark(end) {
                self.cursor.expect(',')?;
            }
        }
        Ok(found)
    }

    fn address(&mut self, depth: u32) -> Result<Operand<'a>, PtxError> {
        let base = match self.cursor.next()? {
            Token::Word(word) => self.name(word),
            Token::Integer(value) => Operand::Integer(value),
            other => return Err(self.cursor.error(format!("{other:?} is not an address"))),
        };
        let mut offset = 0i64;
        while self.cursor.at_mark('+') || self.cursor.at_mark('-') {
            let mut negative = self.cursor.next()? == Token::Mark('-');
            negative ^= self.cursor.take_mark('-');
            let Token::Integer(value) = self.cursor.next()? else {
                return Err(self.cursor.error("an address offset must be an integer"));
            };
            let value = if negative { value.wrapping_neg() } else { value } as i64;
            offset = offset.wrapping_add(value);
        }
        let coordinates = if self.cursor.take_mark(',') {
            let vector = self.operand(depth + 1)?;
            Some(vector.elements().to_vec())
        } else {
            None
        };
        self.cursor.expect(']')?;
        Ok(Operand::Address { base: Box::new(base), offset, coordinates })
    }
}
