//! Instruction sets: which ones this CPU has, and which one to use.
//!
//! A level names everything that a kernel may use, not one extension. `HOSTDYNO_ISA` forces a level, so that a result
//! can be compared with that of a lesser CPU; a level that this CPU lacks is refused, never run.

use std::fmt;

use crate::{Error, Result};

/// Environment variable that forces an instruction set.
pub const ISA_VARIABLE: &str = "HOSTDYNO_ISA";

/// What a kernel may use. Ordered: of those that a CPU has, the last is the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust: what the compiler makes of it for the baseline of the architecture.
    Portable,
    /// The baseline of AArch64.
    Neon,
    /// NEON with dotprod, the dot product of bytes of equal signs: Neoverse N1, Cortex-A76 and later.
    NeonDotprod,
    /// [`Self::NeonDotprod`] with i8mm (the byte dot product of mixed signs) and BF16 (the bf16 dot product): Neoverse
    /// V1, N2, V2 (Graviton3, Grace) and later.
    NeonBf16,
    /// AVX2, FMA and F16C: Haswell, Zen and later.
    Avx2,
    /// AVX2 with the VEX-coded byte dot product: Alder Lake, Sierra Forest, Zen 5.
    AvxVnni,
    /// AVX-512 F, BW, VL, DQ: Skylake-SP and later.
    Avx512,
    /// AVX-512 with VNNI, the byte dot product: Cascade Lake, Ice Lake, Zen 4 and later.
    Avx512Vnni,
    /// AVX-512 with VNNI, BF16 (the bf16 dot product) and VBMI: Sapphire Rapids, Zen 4 and later.
    Avx512Bf16,
    /// [`Self::Avx512Bf16`] with AMX-BF16 and AMX-INT8, the products of tile registers: Sapphire Rapids and later.
    Amx,
}

impl Isa {
    /// Every level, slowest first.
    pub const ALL: [Self; 10] = [
        Self::Portable,
        Self::Neon,
        Self::NeonDotprod,
        Self::NeonBf16,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
        Self::Amx,
    ];

    /// Name in kernel paths and in `HOSTDYNO_ISA`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::NeonDotprod => "neon-dotprod",
            Self::NeonBf16 => "neon-bf16",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        }
    }

    /// Bits of its vector registers; 128, the baseline's, for portable code.
    pub const fn register_bits(self) -> u32 {
        match self {
            Self::Portable | Self::Neon | Self::NeonDotprod | Self::NeonBf16 => 128,
            Self::Avx2 | Self::AvxVnni => 256,
            Self::Avx512 | Self::Avx512Vnni | Self::Avx512Bf16 | Self::Amx => 512,
        }
    }

    /// Whether this CPU, and the operating system, can run it.
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = || has!("avx2") && has!("fma") && has!("f16c");
            let avx512 = || {
                avx2()
                    && has!("avx512f")
                    && has!("avx512bw")
                    && has!("avx512vl")
                    && has!("avx512dq")
            };
            let bf16 =
                || avx512() && has!("avx512vnni") && has!("avx512bf16") && has!("avx512vbmi");
            match self {
                Self::Portable => true,
                Self::Avx2 => avx2(),
                Self::AvxVnni => avx2() && has!("avxvnni"),
                Self::Avx512 => avx512(),
                Self::Avx512Vnni => avx512() && has!("avx512vnni"),
                Self::Avx512Bf16 => bf16(),
                Self::Amx => bf16() && super::kernel::amx_granted(),
                Self::Neon | Self::NeonDotprod | Self::NeonBf16 => false,
            }
        }
        #[cfg(target_arch = "aarch64")]
        {
            use std::arch::is_aarch64_feature_detected as has;
            match self {
                Self::Portable | Self::Neon => true,
                Self::NeonDotprod => has!("dotprod"),
                Self::NeonBf16 => has!("dotprod") && has!("i8mm") && has!("bf16"),
                _ => false,
            }
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        {
            self == Self::Portable
        }
    }

    /// Every level that this CPU has, slowest first.
    pub fn detected() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.available()).collect()
    }

    /// The level to use: the one that `HOSTDYNO_ISA` names, else the fastest.
    ///
    /// # Errors
    /// [`Error::Input`] when the variable names no level, or one that this CPU lacks.
    pub fn chosen() -> Result<Self> {
        Self::choose(std::env::var(ISA_VARIABLE).ok().as_deref(), &Self::detected())
    }

    fn choose(requested: Option<&str>, detected: &[Self]) -> Result<Self> {
        let Some(name) = requested.map(str::trim).filter(|name| !name.is_empty()) else {
            return Ok(detected.last().copied().unwrap_or(Self::Portable));
        };
        if let Some(&isa) = detected.iter().find(|isa| isa.name().eq_ignore_ascii_case(name)) {
            return Ok(isa);
        }
        let names: Vec<&str> = detected.iter().map(|isa| isa.name()).collect();
        let why = if Self::ALL.iter().any(|isa| isa.name().eq_ignore_ascii_case(name)) {
            "this CPU lacks it"
        } else {
            "no such instruction set"
        };
        Err(Error::input(
            format!("{ISA_VARIABLE}={name} can't be used: {why}"),
            format!("Use one of {}, or unset it for the fastest", names.join(", ")),
        ))
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_detected_level_is_the_default() {
        let has = [Isa::Portable, Isa::Avx2, Isa::Avx512];
        assert_eq!(Isa::choose(None, &has).unwrap(), Isa::Avx512);
        assert_eq!(Isa::choose(Some(""), &has).unwrap(), Isa::Avx512);
        assert_eq!(Isa::choose(Some(" AVX2 "), &has).unwrap(), Isa::Avx2);
    }

    #[test]
    fn refusals_list_what_the_cpu_has() {
        let has = [Isa::Portable, Isa::Avx2];
        let lacking = Isa::choose(Some("avx512-bf16"), &has).unwrap_err();
        assert_eq!(
            lacking.to_string(),
            "HOSTDYNO_ISA=avx512-bf16 can't be used: this CPU lacks it. \
             Use one of portable, avx2, or unset it for the fastest"
        );
        assert!(Isa::choose(Some("sse9"), &has).unwrap_err().to_string().contains("no such"));
    }

    #[test]
    fn portable_is_always_there() {
        assert_eq!(Isa::detected().first(), Some(&Isa::Portable));
    }
}
