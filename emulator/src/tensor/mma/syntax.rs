//! What `mma.sync` may say: shapes, types, kinds and their combinations.

use super::{Accumulator, BitOperation, Element, Mma, N, Scaling};
use crate::convert::Rounding;
use crate::tensor::Rules;
use crate::tensor::scale::ScaleType;

#[derive(Default)]
struct Words<'a> {
    shape: Option<&'a str>,
    layout: (bool, bool),
    kind: Option<&'a str>,
    block_scale: bool,
    vec: Option<usize>,
    satfinite: bool,
    rounding: Option<Rounding>,
    types: Vec<&'a str>,
    bits: Option<BitOperation>,
    popc: bool,
}

fn read<'a>(qualifiers: &[&'a str]) -> Result<Words<'a>, String> {
    let ["sync", "aligned", rest @ ..] = qualifiers else {
        return Err("mma needs .sync.aligned (sparse mma.sp is not modelled)".into());
    };
    let mut words = Words::default();
    for &word in rest {
        let repeated = match word {
            "row" => std::mem::replace(&mut words.layout.0, true),
            "col" => std::mem::replace(&mut words.layout.1, true),
            "block_scale" => std::mem::replace(&mut words.block_scale, true),
            "satfinite" => std::mem::replace(&mut words.satfinite, true),
            "popc" => std::mem::replace(&mut words.popc, true),
            "and" => words.bits.replace(BitOperation::And).is_some(),
            "xor" => words.bits.replace(BitOperation::Xor).is_some(),
            "scale_vec::1X" => words.vec.replace(1).is_some(),
            "scale_vec::2X" => words.vec.replace(2).is_some(),
            "scale_vec::4X" => words.vec.replace(4).is_some(),
            "rn" | "rz" | "rm" | "rp" => {
                std::mem::replace(&mut words.rounding, Rounding::parse(word)).is_some()
            }
            _ if word.starts_with("kind::") => words.kind.replace(&word[6..]).is_some(),
            _ if word.starts_with('m') => words.shape.replace(word).is_some(),
            _ => {
                words.types.push(word);
                false
            }
        };
        if repeated {
            return Err(format!("mma has .{word} twice"));
        }
    }
    Ok(words)
}

fn shape(text: &str) -> Option<(usize, usize)> {
    let (m, rest) = text.strip_prefix('m')?.split_once("n8k")?;
    Some((m.parse().ok()?, rest.parse().ok()?))
}

fn accumulator(name: &str) -> Result<Accumulator, String> {
    Ok(match name {
        "f16" => Accumulator::F16,
        "f32" => Accumulator::F32,
        "f64" => Accumulator::F64,
        "s32" => Accumulator::S32,
        _ => return Err(format!("mma does not accumulate in .{name}")),
    })
}

pub(super) fn parse(qualifiers: &[&str], rules: &Rules) -> Result<Mma, String> {
    let words = read(qualifiers)?;
    let text = words.shape.ok_or("mma needs a shape")?;
    let (m, k) = shape(text).ok_or_else(|| format!("mma does not know the shape .{text}"))?;
    if words.layout != (true, true) {
        return Err("mma needs .row.col".into());
    }
    let (types, scale_type) = match (words.types.as_slice(), words.block_scale) {
        ([d, a, b, c], false) => ([*d, *a, *b, *c], None),
        ([d, a, b, c, s], true) => ([*d, *a, *b, *c], Some(*s)),
        _ => {
            return Err(
                "mma needs the types of d, a, b, c, and of the scales with .block_scale".into()
            );
        }
    };
    let [d, a, b, c] = types;
    let dense = matches!(words.kind, Some("mxf4" | "mxf4nvf4"));
    let element = |name: &str| match Element::parse(name) {
        Some(Element::E2m1) if !dense => Ok(Element::E2m1Byte),
        Some(element) => Ok(element),
        None => Err(format!("mma does not multiply .{name}")),
    };
    let (a, b, c, d) = (element(a)?, element(b)?, accumulator(c)?, accumulator(d)?);
    let scaling = match scale_type {
        Some(name) => Some(scaling(words.kind, words.vec, name)?),
        None if words.vec.is_some() => return Err("mma: .scale_vec goes with .block_scale".into()),
        None => None,
    };
    if words.bits.is_some() != words.popc || words.popc != (a == Element::B1) {
        return Err("mma: .xor.popc or .and.popc goes with .b1".into());
    }
    if words.satfinite && (!a.is_integer() || a == Element::B1) {
        return Err("mma: .satfinite is for s8, u8, s4 and u4".into());
    }
    if words.rounding.is_some() && a != Element::F64 {
        return Err("mma: a rounding modifier is for f64".into());
    }
    if !is_listed(m, k, a, b, c, d, words.kind, scaling.is_some()) {
        return Err(format!("mma: the ISA does not list .{text} for these types and kind"));
    }
    let places =
        |rows: usize, element: Element, at: &dyn Fn(usize, usize, usize) -> usize| -> Box<[u16]> {
            let n = element.per_register();
            let registers = rows * k / 32 / n;
            let each = (0..32).flat_map(|lane| {
                (0..registers).flat_map(move |r| (0..n).map(move |e| (lane, r, e)))
            });
            // The remainder keeps a rule that a mutation test broke inside the matrix.
            each.map(|(lane, r, e)| (at(lane, r, e) % (rows * k)) as u16).collect()
        };
    let places_a = places(m, a, &|lane, r, e| {
        let (row, at) = (rules.fragment_a)(lane, r, e, a.per_register());
        row * k + at
    });
    let places_b = places(N, b, &|lane, r, e| {
        let (at, column) = (rules.fragment_b)(lane, r, e, b.per_register());
        at * N + column
    });
    let places_d = (0..m * N).map(|at| {
        let (row, column) = (rules.accumulator)(at % 32, at / 32);
        ((row * N + column) % (m * N)) as u8
    });
    let places_d = places_d.collect();
    Ok(Mma {
        m,
        k,
        a,
        b,
        c,
        d,
        satfinite: words.satfinite,
        rounding: words.rounding.unwrap_or(Rounding::NearestEven),
        bits: words.bits,
        scaling,
        rules: *rules,
        places_a,
        places_b,
        places_d,
    })
}

/// Table 36 (with the ue8m0 4X of ISA 9.1); defaults as 9.7.14.5.14 gives them.
fn scaling(kind: Option<&str>, vec: Option<usize>, name: &str) -> Result<Scaling, String> {
    let (kind, vec) = match (kind, vec, name) {
        (Some("mxf8f6f4"), None | Some(1), "ue8m0") => (ScaleType::Ue8m0, 1),
        (Some("mxf4"), None | Some(2), "ue8m0") => (ScaleType::Ue8m0, 2),
        (Some("mxf4nvf4"), Some(vec @ (2 | 4)), "ue8m0") => (ScaleType::Ue8m0, vec),
        (Some("mxf4nvf4"), Some(4), "ue4m3") => (ScaleType::Ue4m3, 4),
        _ => {
            return Err(format!(
                "mma: no block scaling with .{name} scales for this kind and scale_vec"
            ));
        }
    };
    Ok(Scaling { kind, vec })
}

/// The syntax table of 9.7.14.5.14.
#[allow(clippy::too_many_arguments)] // a row of that table
fn is_listed(
    m: usize,
    k: usize,
    a: Element,
    b: Element,
    c: Accumulator,
    d: Accumulator,
    kind: Option<&str>,
    scaled: bool,
) -> bool {
    use Accumulator::{F16, F32, F64, S32};
    let same = a == b;
    let floats = matches!(c, F16 | F32) && matches!(d, F16 | F32);
    match kind {
        Some("mxf8f6f4") => {
            return scaled
                && (m, k) == (16, 32)
                && a.is_f8f6f4()
                && b.is_f8f6f4()
                && (c, d) == (F32, F32);
        }
        Some("mxf4" | "mxf4nvf4") => {
            return scaled
                && (m, k) == (16, 64)
                && a == Element::E2m1
                && same
                && (c, d) == (F32, F32);
        }
        Some("f8f6f4") => {
            return !scaled
                && (m, k) == (16, 32)
                && a.is_f8f6f4()
                && b.is_f8f6f4()
                && c == d
                && floats;
        }
        Some(_) => return false,
        None if scaled => return false,
        None => {}
    }
    let bytes = |x| matches!(x, Element::S8 | Element::U8);
    let nibbles = |x| matches!(x, Element::S4 | Element::U4);
    let fp8 = |x| matches!(x, Element::E4m3 | Element::E5m2);
    match a {
        Element::F16 => {
            same && floats && (m, k) == (16, 16) || (same && floats && c == d && (m, k) == (16, 8))
        }
        Element::Bf16 => same && (c, d) == (F32, F32) && m == 16 && matches!(k, 8 | 16),
        Element::Tf32 => same && (c, d) == (F32, F32) && m == 16 && matches!(k, 4 | 8),
        Element::F64 => same && (c, d) == (F64, F64) && matches!((m, k), (8, 4) | (16, 4 | 8 | 16)),
        _ if fp8(a) => fp8(b) && floats && c == d && m == 16 && matches!(k, 16 | 32),
        _ if bytes(a) => {
            bytes(b) && (c, d) == (S32, S32) && matches!((m, k), (8, 16) | (16, 16 | 32))
        }
        _ if nibbles(a) => {
            nibbles(b) && (c, d) == (S32, S32) && matches!((m, k), (8, 32) | (16, 32 | 64))
        }
        Element::B1 => same && (c, d) == (S32, S32) && matches!((m, k), (8, 128) | (16, 128 | 256)),
        _ => false,
    }
}
