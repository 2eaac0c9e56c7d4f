//! PTX text to tokens, each with its line.

use super::PtxError;

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A name, an opcode or a directive: letters, digits, `_ $ % .` and `::`.
    Word(&'a str),
    /// An integer, wrapped to 64 bits.
    Integer(u64),
    /// `0f...`: the bits of an `f32`.
    Single(u32),
    /// `0d...` or a decimal literal: the bits of an `f64`.
    Double(u64),
    /// A quoted string, without quotes.
    Text(&'a str),
    /// Any other character.
    Mark(char),
}

/// A token and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Located<'a> {
    pub token: Token<'a>,
    pub line: u32,
}

/// Splits a whole text.
pub(super) fn tokens(text: &str) -> Result<Vec<Located<'_>>, PtxError> {
    let mut lexer = Lexer { text, at: 0, line: 1 };
    let mut found = Vec::new();
    while let Some(located) = lexer.next()? {
        found.push(located);
    }
    Ok(found)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$' | b'%' | b'.')
}

fn continues_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'%' | b'.')
}

impl<'a> Lexer<'a> {
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error(&self, message: impl Into<String>) -> PtxError {
        PtxError { line: self.line, message: message.into() }
    }

    fn next(&mut self) -> Result<Option<Located<'a>>, PtxError> {
        self.skip_blank()?;
        let line = self.line;
        let token = match self.byte(0) {
            0 if self.at >= self.text.len() => return Ok(None),
            b'"' => self.string()?,
            byte if byte.is_ascii_digit() => self.number()?,
            byte if starts_word(byte) => self.word(),
            byte if byte.is_ascii_graphic() => {
                self.at += 1;
                Token::Mark(char::from(byte))
            }
            byte => return Err(self.error(format!("unexpected byte {byte:#04x}"))),
        };
        Ok(Some(Located { token, line }))
    }

    fn skip_blank(&mut self) -> Result<(), PtxError> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (b'\n', _) => {
                    self.line += 1;
                    self.at += 1;
                }
                (b' ' | b'\t' | b'\r' | 0x0c, _) => self.at += 1,
                (0, _) if self.at < self.text.len() => self.at += 1, // drivers accept the C string's NUL
                (b'/', b'/') => {
                    while self.at < self.text.len() && self.byte(0) != b'\n' {
                        self.at += 1;
                    }
                }
                (b'/', b'*') => {
                    let rest = &self.text[self.at + 2..];
                    let length =
                        rest.find("*/").ok_or_else(|| self.error("comment without end"))?;
                    self.line += rest[..length].matches('\n').count() as u32;
                    self.at += length + 4;
                }
                _ => return Ok(()),
            }
        }
    }

    fn string(&mut self) -> Result<Token<'a>, PtxError> {
        let rest = &self.text[self.at + 1..];
        let length = rest.find(['"', '\n']).filter(|&i| rest.as_bytes()[i] == b'"');
        let length = length.ok_or_else(|| self.error("string without end"))?;
        self.at += length + 2;
        Ok(Token::Text(&rest[..length]))
    }

    fn word(&mut self) -> Token<'a> {
        let start = self.at;
        loop {
            if continues_word(self.byte(0)) {
                self.at += 1;
            } else if self.byte(0) == b':' && self.byte(1) == b':' && continues_word(self.byte(2)) {
                self.at += 2;
            } else {
                return Token::Word(&self.text[start..self.at]);
            }
        }
    }

    fn number(&mut self) -> Result<Token<'a>, PtxError> {
        let start = self.at;
        while self.byte(0).is_ascii_alphanumeric()
            || self.byte(0) == b'.'
            || (matches!(self.byte(0), b'+' | b'-') && self.is_exponent(start))
        {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        let bad = || self.error(format!("malformed number {text}"));
        let digits = |radix: u32, digits: &str| {
            u64::from_str_radix(digits.trim_end_matches(['u', 'U']), radix)
                .map(Token::Integer)
                .map_err(|_| bad())
        };
        let lower = text.as_bytes().get(1).map(u8::to_ascii_lowercase);
        match (text.as_bytes()[0], lower) {
            (b'0', Some(b'x')) => digits(16, &text[2..]),
            (b'0', Some(b'b')) => digits(2, &text[2..]),
            (b'0', Some(b'f')) if text.len() == 10 => {
                u32::from_str_radix(&text[2..], 16).map(Token::Single).map_err(|_| bad())
            }
            (b'0', Some(b'd')) if text.len() == 18 => {
                u64::from_str_radix(&text[2..], 16).map(Token::Double).map_err(|_| bad())
            }
            _ if text.contains(['.', 'e', 'E']) => {
                text.parse::<f64>().map(|x| Token::Double(x.to_bits())).map_err(|_| bad())
            }
            (b'0', Some(b'0'..=b'9')) => digits(8, &text[1..]),
            // Decimal literals may have up to 20 digits: 2^64 - 1.
            _ => digits(10, text),
        }
    }

    /// Whether the sign at the cursor belongs to a decimal exponent such as `1.5e-3`.
    fn is_exponent(&self, start: usize) -> bool {
        let before = &self.text[start..self.at];
        before.ends_with(['e', 'E'])
            && !before.starts_with("0x")
            && before.as_bytes()[..before.len() - 1]
                .iter()
                .all(|b| b.is_ascii_digit() || *b == b'.')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Token<'_>> {
        tokens(text).unwrap().into_iter().map(|l| l.token).collect()
    }

    #[test]
    fn words_numbers_marks() {
        assert_eq!(
            all("@!%p1 cp.async.shared::cta.b32 [%r1+-8], 0x1F; a: // c"),
            [
                Token::Mark('@'),
                Token::Mark('!'),
                Token::Word("%p1"),
                Token::Word("cp.async.shared::cta.b32"),
                Token::Mark('['),
                Token::Word("%r1"),
                Token::Mark('+'),
                Token::Mark('-'),
                Token::Integer(8),
                Token::Mark(']'),
                Token::Mark(','),
                Token::Integer(31),
                Token::Mark(';'),
                Token::Word("a"),
                Token::Mark(':'),
            ]
        );
        assert_eq!(
            all("0f3F800000 0d3FF0000000000000 1.5e-3 017 0b101 18446744073709551615"),
            [
                Token::Single(0x3f80_0000),
                Token::Double(1f64.to_bits()),
                Token::Double(1.5e-3f64.to_bits()),
                Token::Integer(15),
                Token::Integer(5),
                Token::Integer(u64::MAX),
            ]
        );
    }

    #[test]
    fn malformed_text_names_its_line() {
        for (text, line) in [("\n\"abc\n", 2), ("/* \n", 1), ("\n\n0xg", 3), ("é", 1)] {
            assert_eq!(tokens(text).unwrap_err().line, line, "{text:?}");
        }
    }
}
