//! The instruction descriptor of `tcgen05.mma`: shapes, types, transposition and scale selectors in
//! 32 bits.
//!
//! PTX ISA 9.0, 9.7.16.4.2 (Tables 42 to 44) with the shapes of Table 39. Reserved bits must be
//! zero and a combination that the tables do not list is refused.

use super::descriptor::{Field, Major};
use super::element::Element;
use super::mma::Accumulator;

/// `.kind` of a `tcgen05.mma`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `kind::f16`: f16 or bf16.
    F16,
    /// `kind::tf32`.
    Tf32,
    /// `kind::f8f6f4`.
    F8f6f4,
    /// `kind::i8`.
    I8,
    /// `kind::mxf8f6f4`, block-scaled.
    Mxf8f6f4,
    /// `kind::mxf4`, block-scaled.
    Mxf4,
    /// `kind::mxf4nvf4`, block-scaled.
    Mxf4nvf4,
}

impl Kind {
    /// The kind a qualifier names (without `kind::`).
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "f16" => Self::F16,
            "tf32" => Self::Tf32,
            "f8f6f4" => Self::F8f6f4,
            "i8" => Self::I8,
            "mxf8f6f4" => Self::Mxf8f6f4,
            "mxf4" => Self::Mxf4,
            "mxf4nvf4" => Self::Mxf4nvf4,
            _ => return None,
        })
    }

    /// Whether it takes block scales.
    pub const fn is_scaled(self) -> bool {
        matches!(self, Self::Mxf8f6f4 | Self::Mxf4 | Self::Mxf4nvf4)
    }

    /// K of a dense instruction.
    pub const fn k(self) -> usize {
        match self {
            Self::Tf32 => 8,
            Self::F16 => 16,
            Self::F8f6f4 | Self::I8 | Self::Mxf8f6f4 => 32,
            Self::Mxf4 | Self::Mxf4nvf4 => 64,
        }
    }

    /// What a type field stands for.
    fn element(self, code: u32) -> Option<Element> {
        Some(match (self, code) {
            (Self::F16, 0) => Element::F16,
            (Self::F16, 1) => Element::Bf16,
            (Self::Tf32, 2) => Element::Tf32,
            (Self::I8, 0) => Element::U8,
            (Self::I8, 1) => Element::S8,
            (Self::F8f6f4 | Self::Mxf8f6f4, 0) => Element::E4m3,
            (Self::F8f6f4 | Self::Mxf8f6f4, 1) => Element::E5m2,
            (Self::F8f6f4 | Self::Mxf8f6f4, 3) => Element::E2m3,
            (Self::F8f6f4 | Self::Mxf8f6f4, 4) => Element::E3m2,
            (Self::F8f6f4 | Self::Mxf8f6f4, 5) => Element::E2m1Byte,
            (Self::Mxf4 | Self::Mxf4nvf4, 1) => Element::E2m1,
            _ => return None,
        })
    }
}

/// Where the instruction descriptor keeps what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionFields {
    /// Saturation of integers.
    pub saturate: Field,
    /// Type of D.
    pub d: Field,
    /// Type of A.
    pub a: Field,
    /// Type of B.
    pub b: Field,
    /// Negate A.
    pub negate_a: Field,
    /// Negate B.
    pub negate_b: Field,
    /// A is M-major.
    pub transpose_a: Field,
    /// B is N-major.
    pub transpose_b: Field,
    /// N / 8.
    pub n: Field,
    /// M / 16, kinds without block scale.
    pub m: Field,
    /// M / 128, block-scaled kinds.
    pub m_scaled: Field,
    /// Scale factor B's id.
    pub scale_b: Field,
    /// Scale factor A's id.
    pub scale_a: Field,
    /// 1: UE8M0 scales, 0: UE4M3.
    pub scale_type: Field,
}

/// Tables 42 to 44.
pub const FIELDS: InstructionFields = InstructionFields {
    saturate: Field(3, 1),
    d: Field(4, 2),
    a: Field(7, 3),
    b: Field(10, 3),
    negate_a: Field(13, 1),
    negate_b: Field(14, 1),
    transpose_a: Field(15, 1),
    transpose_b: Field(16, 1),
    n: Field(17, 6),
    m: Field(24, 5),
    m_scaled: Field(27, 2),
    scale_b: Field(4, 2),
    scale_a: Field(29, 2),
    scale_type: Field(23, 1),
};

/// A decoded instruction descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Rows of D.
    pub m: usize,
    /// Columns of D.
    pub n: usize,
    /// Type of A.
    pub a: Element,
    /// Type of B.
    pub b: Element,
    /// Type of D.
    pub d: Accumulator,
    /// Clamp integers instead of wrapping.
    pub saturate: bool,
    /// A is multiplied by -1.
    pub negate_a: bool,
    /// B is multiplied by -1.
    pub negate_b: bool,
    /// Contiguous dimension of A in shared memory.
    pub major_a: Major,
    /// Contiguous dimension of B.
    pub major_b: Major,
    /// Scales are UE8M0 rather than UE4M3.
    pub scale_ue8m0: bool,
    /// Byte of the first scale of A in its word.
    pub scale_a: u32,
    /// Byte of the first scale of B in its word.
    pub scale_b: u32,
}

impl Instruction {
    /// Decodes `descriptor` for an instruction over `ctas` (1 or 2) CTAs.
    ///
    /// # Errors
    /// A sentence naming the field that the tables do not allow.
    pub fn decode(
        descriptor: u32,
        kind: Kind,
        ctas: usize,
        fields: &InstructionFields,
    ) -> Result<Self, String> {
        let bits = u64::from(descriptor);
        let flag = |field: Field| field.of(bits) != 0;
        let fail =
            |why: &str| Err(format!("tcgen05 instruction descriptor {descriptor:#010x}: {why}"));
        if descriptor >> 2 & 1 != 0 {
            return fail("sparse A needs tcgen05.mma.sp");
        }
        let reserved: u32 = match kind {
            Kind::Mxf8f6f4 => 0x8700_004b,
            Kind::Mxf4 | Kind::Mxf4nvf4 => 0x0700_104b,
            _ => 0xe080_0043,
        };
        if descriptor & reserved != 0 {
            return fail("a reserved bit is set (K = 96 is of sm_103a, a shift of B of .ws)");
        }
        let (Some(a), Some(b)) = (kind.element(fields.a.of(bits)), kind.element(fields.b.of(bits)))
        else {
            return fail("no such type of A or B in this kind");
        };
        let d = match (kind, fields.d.of(bits)) {
            _ if kind.is_scaled() => Accumulator::F32,
            (Kind::I8, 2) => Accumulator::S32,
            (Kind::F16 | Kind::F8f6f4 | Kind::Tf32, 1) => Accumulator::F32,
            (Kind::F8f6f4, 0) => Accumulator::F16,
            (Kind::F16, 0) if a == Element::F16 && b == Element::F16 => Accumulator::F16,
            _ => return fail("no such type of D for these operands"),
        };
        let major = |field: Field| if flag(field) { Major::Mn } else { Major::K };
        let instruction = Self {
            m: if kind.is_scaled() {
                fields.m_scaled.of(bits) * 128
            } else {
                fields.m.of(bits) * 16
            } as usize,
            n: fields.n.of(bits) as usize * 8,
            a,
            b,
            d,
            saturate: kind == Kind::I8 && flag(fields.saturate),
            negate_a: flag(fields.negate_a),
            negate_b: flag(fields.negate_b),
            major_a: major(fields.transpose_a),
            major_b: major(fields.transpose_b),
            scale_ue8m0: kind.is_scaled() && flag(fields.scale_type),
            scale_a: if kind.is_scaled() { fields.scale_a.of(bits) } else { 0 },
            scale_b: if kind.is_scaled() { fields.scale_b.of(bits) } else { 0 },
        };
        if kind != Kind::I8 && !kind.is_scaled() && flag(fields.saturate) {
            return fail("saturation is of kind::i8");
        }
        if kind == Kind::I8 && (instruction.negate_a || instruction.negate_b) {
            return fail("kind::i8 has no negation");
        }
        if matches!(kind, Kind::Mxf4 | Kind::Mxf4nvf4)
            && (instruction.major_a, instruction.major_b) != (Major::K, Major::K)
        {
            return fail("this kind has no transposition");
        }
        if kind == Kind::F16 && a != b {
            return fail("A and B must have one type in kind::f16");
        }
        let (m, n) = (instruction.m, instruction.n);
        let rows = match (ctas, kind.is_scaled()) {
            (1, false) => m == 64 || m == 128,
            (1, true) => m == 128,
            _ => m == 128 || m == 256,
        };
        let step = if kind == Kind::I8 && (n > 32 || ctas == 2) { 16 * ctas } else { 8 * ctas };
        if !rows || !(step..=256).contains(&n) && n != 8 * ctas || !n.is_multiple_of(step) {
            return fail(&format!("no shape {m} x {n} in Table 39"));
        }
        Ok(instruction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_the_tables() {
        // bf16 x bf16 -> f32, M 128, N 256, B transposed, A negated.
        let word = 1 << 4 | 1 << 7 | 1 << 10 | 1 << 13 | 1 << 16 | 32 << 17 | 8 << 24;
        let got = Instruction::decode(word, Kind::F16, 1, &FIELDS).expect("valid");
        assert_eq!(
            (got.m, got.n, got.a, got.b, got.d),
            (128, 256, Element::Bf16, Element::Bf16, Accumulator::F32)
        );
        assert_eq!(
            (got.negate_a, got.negate_b, got.major_a, got.major_b),
            (true, false, Major::K, Major::Mn)
        );
        // mxf4: 128 x 128, UE8M0, both ids 2 (a descriptor that Triton writes).
        let got = Instruction::decode(0x48a0_04a0, Kind::Mxf4, 1, &FIELDS).expect("valid");
        assert_eq!(
            (got.m, got.n, got.scale_a, got.scale_b, got.scale_ue8m0),
            (128, 128, 2, 2, true)
        );
        // i8: s8 x u8, saturating, 64 x 48.
        let word = 1 << 3 | 2 << 4 | 1 << 7 | 6 << 17 | 4 << 24;
        let got = Instruction::decode(word, Kind::I8, 1, &FIELDS).expect("valid");
        assert_eq!(
            (got.m, got.n, got.a, got.b, got.saturate),
            (64, 48, Element::S8, Element::U8, true)
        );
    }

    #[test]
    fn refuses_what_the_tables_do_not_list() {
        let good = 1 << 4 | 1 << 7 | 1 << 10 | 16 << 17 | 8 << 24;
        assert!(Instruction::decode(good, Kind::F16, 1, &FIELDS).is_ok());
        for (name, word) in [
            ("sparse", good | 1 << 2),
            ("saturate", good | 1 << 3),
            ("reserved", good | 1 << 6),
            ("f16 x bf16", good & !(1 << 7)),
            ("f16 accumulator of bf16", good & !(1 << 4)),
            ("type 2", good ^ 3 << 7),
            ("N = 0", good & !(63 << 17)),
            ("N = 264", good & !(63 << 17) | 33 << 17),
            ("M = 192", good ^ 4 << 24),
        ] {
            assert!(Instruction::decode(word, Kind::F16, 1, &FIELDS).is_err(), "{name}");
        }
        // N = 40 is no shape of kind::i8, N = 24 is.
        let i8 = |n: u32| 2 << 4 | (n / 8) << 17 | 4 << 24;
        assert!(Instruction::decode(i8(24), Kind::I8, 1, &FIELDS).is_ok());
        assert!(Instruction::decode(i8(40), Kind::I8, 1, &FIELDS).is_err());
        assert!(Instruction::decode(i8(48), Kind::I8, 1, &FIELDS).is_ok());
    }
}
