//! The approximate functions: `ex2`, `lg2`, `rcp`, `rsqrt`, `sqrt`, `div`, `sin`, `cos`, `tanh`.
//!
//! The ISA states an error bound and the special values of each (PTX ISA 9.0, 9.7.3.8 to 9.7.3.22,
//! 9.7.4.9 and 9.7.4.10), not the bits. The emulator returns the result rounded to nearest,
//! computed in `f64`: inside every bound. Hardware may differ from it in the last bits, so kernels
//! must not be compared bit by bit across these functions.

use super::format::{Format, Overflow, Rounding};

/// A function with an `.approx` form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `2^a`
    Ex2,
    /// `log2(a)`
    Lg2,
    /// `1 / a`
    Rcp,
    /// `1 / sqrt(a)`
    Rsqrt,
    /// `sqrt(a)`
    Sqrt,
    /// `a / b`
    Div,
    /// `sin(a)`
    Sin,
    /// `cos(a)`
    Cos,
    /// `tanh(a)`
    Tanh,
}

/// A decoded approximate instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approx {
    function: Function,
    /// `None` stands for `f64`.
    format: Option<Format>,
    lanes: u32,
    ftz: bool,
    full: bool,
}

impl Approx {
    /// Parses `mnemonic` and its qualifiers, which must contain `approx` (or `full`, for `div`).
    ///
    /// # Errors
    /// A sentence naming the qualifier or type that the ISA does not list.
    pub fn parse(mnemonic: &str, qualifiers: &[&str]) -> Result<Self, String> {
        let function = match mnemonic {
            "ex2" => Function::Ex2,
            "lg2" => Function::Lg2,
            "rcp" => Function::Rcp,
            "rsqrt" => Function::Rsqrt,
            "sqrt" => Function::Sqrt,
            "div" => Function::Div,
            "sin" => Function::Sin,
            "cos" => Function::Cos,
            "tanh" => Function::Tanh,
            _ => return Err(format!("{mnemonic} has no approximate form")),
        };
        let (full, rest) = match qualifiers {
            ["approx", rest @ ..] => (false, rest),
            ["full", rest @ ..] if function == Function::Div => (true, rest),
            _ => return Err(format!("{mnemonic} needs .approx")),
        };
        let (ftz, name) = match rest {
            ["ftz", name] => (true, *name),
            [name] => (false, *name),
            _ => return Err(format!("{mnemonic}.approx takes .ftz and a type")),
        };
        let halves = matches!(function, Function::Ex2 | Function::Tanh);
        let (format, lanes) = match name {
            "f32" => (Some(Format::F32), 1),
            "f64" if matches!(function, Function::Rcp | Function::Rsqrt) => (None, 1),
            "f16" if halves => (Some(Format::F16), 1),
            "f16x2" if halves => (Some(Format::F16), 2),
            "bf16" if halves => (Some(Format::BF16), 1),
            "bf16x2" if halves => (Some(Format::BF16), 2),
            _ => return Err(format!("{mnemonic}.approx is not defined for .{name}")),
        };
        let takes_ftz = match (function, name) {
            (Function::Tanh, _) | (Function::Ex2, "f16" | "f16x2") => false,
            (Function::Ex2, "bf16" | "bf16x2") if !ftz => {
                return Err("ex2.approx for bf16 needs .ftz".into());
            }
            (Function::Rcp, "f64") if !ftz => return Err("rcp.approx.f64 needs .ftz".into()),
            _ => true,
        };
        if ftz && !takes_ftz {
            return Err(format!("{mnemonic}.approx.{name} does not take .ftz"));
        }
        Ok(Self { function, format, lanes, ftz, full })
    }

    /// Number of source operands.
    pub fn sources(&self) -> usize {
        if self.function == Function::Div { 2 } else { 1 }
    }

    /// Computes on register images, lane by lane; `b` is the divisor of `div`.
    pub fn apply(&self, a: u64, b: u64) -> u64 {
        let Some(format) = self.format else {
            return self.apply_f64(f64::from_bits(a));
        };
        let mask = super::format::low_mask(format.bits);
        (0..self.lanes).fold(0, |result, lane| {
            let shift = lane * format.bits;
            let read = |register: u64| {
                let code = (register >> shift) as u32 & mask;
                format.decode(if self.ftz { format.flush(code) } else { code })
            };
            let code = format.encode(
                self.value(read(a), read(b)),
                Rounding::NearestEven,
                Overflow::Infinity,
            );
            let code = if self.ftz { format.flush(code) } else { code };
            result | u64::from(code) << shift
        })
    }

    fn value(&self, a: f64, b: f64) -> f64 {
        match self.function {
            Function::Ex2 => a.exp2(),
            Function::Lg2 if a == 0.0 => f64::NEG_INFINITY,
            Function::Lg2 => a.log2(),
            Function::Rcp => 1.0 / a,
            Function::Rsqrt if a == 0.0 => f64::INFINITY.copysign(a),
            Function::Rsqrt => 1.0 / a.sqrt(),
            Function::Sqrt => a.sqrt(),
            // Above 2^126 the reciprocal that `div.approx` multiplies by is flushed (ISA 9.7.3.8).
            Function::Div if !self.full && b.is_finite() && b.abs() > 2f64.powi(126) => {
                a * 0f64.copysign(b)
            }
            Function::Div => a / b,
            Function::Sin => a.sin(),
            Function::Cos => a.cos(),
            Function::Tanh => a.tanh(),
        }
    }

    /// `rcp.approx.ftz.f64` and `rsqrt.approx{.ftz}.f64` return only the upper 32 bits (ISA
    /// 9.7.3.14 and 9.7.3.17).
    fn apply_f64(&self, a: f64) -> u64 {
        let a = if self.ftz && a.is_subnormal() { 0f64.copysign(a) } else { a };
        let result = self.value(a, 0.0);
        let result = if self.ftz && result.is_subnormal() { 0f64.copysign(result) } else { result };
        match (self.function, self.ftz) {
            _ if result.is_nan() => 0x7fff_ffff_0000_0000,
            (Function::Rsqrt, false) => result.to_bits(),
            _ => result.to_bits() & 0xffff_ffff_0000_0000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32_of(text: &str, a: f32, b: f32) -> f32 {
        let (mnemonic, rest) = text.split_once('.').expect("has qualifiers");
        let approx = Approx::parse(mnemonic, &rest.split('.').collect::<Vec<_>>())
            .unwrap_or_else(|e| panic!("{e}"));
        f32::from_bits(approx.apply(u64::from(a.to_bits()), u64::from(b.to_bits())) as u32)
    }

    #[test]
    fn special_values_are_those_of_the_tables() {
        const INF: f32 = f32::INFINITY;
        for (text, input, result) in [
            ("ex2.approx.f32", -INF, 0.0),
            ("ex2.approx.f32", -0.0, 1.0),
            ("lg2.approx.f32", -0.0, -INF),
            ("lg2.approx.f32", INF, INF),
            ("rcp.approx.f32", -INF, -0.0),
            ("rcp.approx.f32", -0.0, -INF),
            ("rsqrt.approx.f32", -0.0, -INF),
            ("rsqrt.approx.f32", INF, 0.0),
            ("sqrt.approx.f32", -0.0, -0.0),
            ("sin.approx.f32", -0.0, -0.0),
            ("cos.approx.f32", 0.0, 1.0),
            ("tanh.approx.f32", -INF, -1.0),
            ("tanh.approx.f32", 1e-42, 1e-42),
            // Subnormal operands and results are kept without .ftz and flushed with it.
            ("rcp.approx.f32", 1e-40, INF),
            ("ex2.approx.f32", -140.0, 7.174_65e-43),
            ("ex2.approx.ftz.f32", -140.0, 0.0),
            ("lg2.approx.ftz.f32", 1e-40, -INF),
            ("rcp.approx.ftz.f32", 1e-40, INF),
        ] {
            let got = f32_of(text, input, 1.0);
            assert_eq!(got.to_bits(), result.to_bits(), "{text} of {input}: {got}");
        }
        for text in ["lg2.approx.f32", "rsqrt.approx.f32", "sqrt.approx.f32"] {
            assert!(f32_of(text, -1.0, 1.0).is_nan() && f32_of(text, f32::NAN, 1.0).is_nan());
        }
        assert!(f32_of("sin.approx.f32", INF, 0.0).is_nan());
    }

    #[test]
    fn division_beyond_two_to_the_126() {
        assert_eq!(f32_of("div.approx.f32", 3.0, -2f32.powi(127)).to_bits(), (-0f32).to_bits());
        assert!(f32_of("div.approx.f32", f32::INFINITY, 2f32.powi(127)).is_nan());
        assert_eq!(f32_of("div.full.f32", 3.0, 2f32.powi(127)), 3.0 * 2f32.powi(-127));
        assert_eq!(f32_of("div.approx.f32", 1.0, 3.0), 1.0 / 3.0);
    }

    #[test]
    fn halves() {
        let ex2 = Approx::parse("ex2", &["approx", "f16x2"]).expect("valid");
        assert_eq!(ex2.apply(0x3c00_4000, 0), 0x4000_4400);
        let ex2 = Approx::parse("ex2", &["approx", "ftz", "bf16x2"]).expect("valid");
        assert_eq!(ex2.apply(0x3f80_4000, 0), 0x4000_4080);
    }

    #[test]
    fn refuses_what_the_isa_does_not_list() {
        for text in [
            "ex2.f32",
            "sin.approx.f64",
            "tanh.approx.ftz.f32",
            "ex2.approx.bf16",
            "lg2.approx.f16",
            "rcp.full.f32",
            "ex2.approx.rn.f32",
        ] {
            let (mnemonic, rest) = text.split_once('.').expect("has qualifiers");
            assert!(
                Approx::parse(mnemonic, &rest.split('.').collect::<Vec<_>>()).is_err(),
                "{text}"
            );
        }
    }
}
