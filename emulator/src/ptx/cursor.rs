//! A position in the tokens of a text.

use super::PtxError;
use super::lexer::{Located, Token};

/// Reads tokens one after another.
pub(super) struct Cursor<'a> {
    tokens: Vec<Located<'a>>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(tokens: Vec<Located<'a>>) -> Self {
        Self { tokens, at: 0 }
    }

    /// The token at the cursor.
    pub fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at).map(|l| &l.token)
    }

    /// The token after it.
    pub fn peek_second(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at + 1).map(|l| &l.token)
    }

    /// Line of the token at the cursor; at the end, of the last one.
    pub fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |l| l.line)
    }

    /// An error at the cursor.
    pub fn error(&self, message: impl Into<String>) -> PtxError {
        PtxError { line: self.line(), message: message.into() }
    }

    /// Takes the token at the cursor.
    pub fn next(&mut self) -> Result<Token<'a>, PtxError> {
        let token = self.peek().cloned().ok_or_else(|| self.error("the text ends too early"))?;
        self.at += 1;
        Ok(token)
    }

    /// Takes a word.
    pub fn word(&mut self) -> Result<&'a str, PtxError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let word = *word;
                self.at += 1;
                Ok(word)
            }
            other => Err(self.error(format!("expected a name, found {other:?}"))),
        }
    }

    /// Takes an integer that fits 32 bits.
    pub fn small(&mut self) -> Result<u32, PtxError> {
        match self.peek() {
            Some(Token::Integer(value)) if *value <= u64::from(u32::MAX) => {
                let value = *value as u32;
                self.at += 1;
                Ok(value)
            }
            other => Err(self.error(format!("expected a number, found {other:?}"))),
        }
    }

    /// Whether the token at the cursor is this mark.
    pub fn at_mark(&self, mark: char) -> bool {
        self.peek() == Some(&Token::Mark(mark))
    }

    /// Takes this mark if it is next.
    pub fn take_mark(&mut self, mark: char) -> bool {
        let found = self.at_mark(mark);
        self.at += usize::from(found);
        found
    }

    /// Takes this word if it is next.
    pub fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(&Token::Word(word));
        self.at += usize::from(found);
        found
    }

    /// Takes this mark or fails.
    pub fn expect(&mut self, mark: char) -> Result<(), PtxError> {
        if self.take_mark(mark) {
            Ok(())
        } else {
            Err(self.error(format!("expected '{mark}', found {:?}", self.peek())))
        }
    }

    /// Takes the rest of the current line.
    pub fn skip_line(&mut self) {
        let line = self.line();
        while self.at < self.tokens.len() && self.tokens[self.at].line == line {
            self.at += 1;
        }
    }

    /// Takes a `{ ... }` with all that is inside.
    pub fn skip_braces(&mut self) -> Result<(), PtxError> {
        self.expect('{')?;
        let mut depth = 1;
        while depth > 0 {
            match self.next()? {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Up to three numbers separated by commas; missing ones are 1.
    pub fn dimensions(&mut self) -> Result<[u32; 3], PtxError> {
        let mut found = [self.small()?, 1, 1];
        for axis in &mut found[1..] {
            if !self.take_mark(',') {
                break;
            }
            *axis = self.small()?;
        }
        Ok(found)
    }
}
