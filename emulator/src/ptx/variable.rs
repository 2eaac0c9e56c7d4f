//! Declarations of variables: `.align 16 .b8 name[4][8] = {...}`.

use super::cursor::Cursor;
use super::lexer::Token;
use super::{PtxError, Type};

/// The most bytes one declaration may have: no device has more, and sums of them fit 64 bits.
const MAX_BYTES: u64 = 1 << 40;

/// A variable as declared; the state space is already taken.
pub(super) struct Declaration<'a> {
    pub name: &'a str,
    /// Bytes; 0 for `name[]` without initialiser.
    pub size: u64,
    pub align: u64,
    pub initial: Vec<u8>,
}

/// Parses what follows the state space, up to but not including `;`, `,` or `)`.
pub(super) fn declaration<'a>(cursor: &mut Cursor<'a>) -> Result<Declaration<'a>, PtxError> {
    let mut align = None;
    let mut element = None;
    let mut lanes = 1;
    let name = loop {
        let word = cursor.word()?;
        match word {
            ".align" if element.is_some() => _ = cursor.small()?, // `.ptr .align N`: of the pointee
            ".align" => align = Some(u64::from(cursor.small()?)),
            ".ptr" | ".global" | ".shared" | ".local" | ".const" | ".param" | ".attribute" => {}
            ".v2" => lanes = 2,
            ".v4" => lanes = 4,
            _ if word.starts_with('.') => {
                let ty = Type::parse(&word[1..]).filter(|ty| ty.bytes() > 0);
                element = Some(ty.ok_or_else(|| {
                    cursor.error(format!("{word} in a declaration is not modelled"))
                })?);
            }
            _ => break word,
        }
    };
    let element = element.ok_or_else(|| cursor.error(format!("{name} has no type")))?;
    let align = align.unwrap_or(u64::from(element.bytes()) * lanes);
    if !align.is_power_of_two() || align > 1 << 20 {
        return Err(
            cursor.error(format!("alignment {align} of {name} is not a power of two below 2^20"))
        );
    }
    let mut count = lanes;
    let mut open = false;
    while cursor.take_mark('[') {
        if cursor.take_mark(']') {
            open = true;
            continue;
        }
        count = count.saturating_mul(u64::from(cursor.small()?));
        cursor.expect(']')?;
    }
    let mut initial = Vec::new();
    if cursor.take_mark('=') {
        initializer(cursor, element, &mut initial, 0)?;
    }
    let mut size = count.saturating_mul(u64::from(element.bytes()));
    if open {
        size = initial.len() as u64;
    }
    if size > MAX_BYTES || (initial.len() as u64) > size {
        return Err(
            cursor.error(format!("{name} has {size} bytes, its initialiser {}", initial.len()))
        );
    }
    Ok(Declaration { name, size, align, initial })
}

fn initializer(
    cursor: &mut Cursor<'_>,
    element: Type,
    bytes: &mut Vec<u8>,
    depth: u32,
) -> Result<(), PtxError> {
    if depth > 8 {
        return Err(cursor.error("initialiser nested too deeply"));
    }
    if cursor.take_mark('{') {
        while !cursor.take_mark('}') {
            initializer(cursor, element, bytes, depth + 1)?;
            cursor.take_mark(',');
        }
        return Ok(());
    }
    let negative = cursor.take_mark('-');
    let value = match cursor.next()? {
        Token::Integer(value) if element == Type::F32 => u64::from((value as f32).to_bits()),
        Token::Integer(value) if element == Type::F64 => (value as f64).to_bits(),
        Token::Integer(value) if negative => value.wrapping_neg(),
        Token::Integer(value) => value,
        Token::Single(bits) => u64::from(bits) ^ u64::from(negative) << 31,
        Token::Double(bits) if element == Type::F32 => {
            let value = f64::from_bits(bits) as f32;
            u64::from(if negative { -value } else { value }.to_bits())
        }
        Token::Double(bits) => bits ^ u64::from(negative) << 63,
        other => return Err(cursor.error(format!("{other:?} in an initialiser is not modelled"))),
    };
    bytes.extend_from_slice(&value.to_le_bytes()[..element.bytes().min(8) as usize]);
    Ok(())
}
