//! The clock of a core, and what it could do in a cycle.

use std::time::Instant;

use crate::cpu::kernel::Operands;

/// Additions in one timing: some 30 us, shorter than a scheduler's tick.
const ADDITIONS: u64 = 100_000;

/// Additions a turn of the loop.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const UNROLLED: u64 = 10;

/// Timings, of which the fastest was disturbed least.
const TIMINGS: usize = 64;

/// Clock of this core in Hz: a chain of dependent additions, one a cycle. None where that is not known to hold.
pub fn core_clock() -> Option<f64> {
    let fastest = (0..TIMINGS).filter_map(|_| seconds_of_additions()).reduce(f64::min)?;
    Some(ADDITIONS as f64 / fastest)
}

fn seconds_of_additions() -> Option<f64> {
    let start = Instant::now();
    add_in_a_chain()?;
    Some(start.elapsed().as_secs_f64())
}

/// [`ADDITIONS`], each to the sum of the one before; `None` where no chain is known whose additions take a cycle each.
/// Register to register: newer cores do away with additions of constants.
#[cfg(target_arch = "x86_64")]
fn add_in_a_chain() -> Option<()> {
    // SAFETY: registers and flags only.
    unsafe {
        std::arch::asm!(
            "2:",
            "add {x}, {y}", "add {x}, {y}", "add {x}, {y}", "add {x}, {y}", "add {x}, {y}",
            "add {x}, {y}", "add {x}, {y}", "add {x}, {y}", "add {x}, {y}", "add {x}, {y}",
            "dec {n}",
            "jnz 2b",
            x = inout(reg) 1u64 => _,
            y = in(reg) 3u64,
            n = inout(reg) ADDITIONS / UNROLLED => _,
            options(nomem, nostack),
        );
    }
    Some(())
}

#[cfg(target_arch = "aarch64")]
fn add_in_a_chain() -> Option<()> {
    // SAFETY: registers and flags only.
    unsafe {
        std::arch::asm!(
            "2:",
            "add {x}, {x}, {y}", "add {x}, {x}, {y}", "add {x}, {x}, {y}", "add {x}, {x}, {y}",
            "add {x}, {x}, {y}", "add {x}, {x}, {y}", "add {x}, {x}, {y}", "add {x}, {x}, {y}",
            "add {x}, {x}, {y}", "add {x}, {x}, {y}",
            "subs {n}, {n}, #1",
            "b.ne 2b",
            x = inout(reg) 1u64 => _,
            y = in(reg) 3u64,
            n = inout(reg) ADDITIONS / UNROLLED => _,
            options(nomem, nostack),
        );
    }
    Some(())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn add_in_a_chain() -> Option<()> {
    None
}

/// A core family's floating-point width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Family {
    name: &'static str,
    /// f32 multiply-adds a cycle with 256-bit and with 512-bit registers.
    fma: [u32; 2],
    /// bf16 and byte multiply-adds a cycle with 512-bit registers, where there are such instructions.
    wide: Option<[u32; 2]>,
    /// bf16 and byte multiply-adds a cycle with tile registers, where there are any.
    tiles: Option<[u32; 2]>,
}

/// Operations of one core in a cycle, with the reason; none for a family that is not in the table.
pub fn operations_a_cycle(operands: Operands, bits: u32, tiles: bool) -> Option<(f64, String)> {
    let core = this_family()?;
    if tiles {
        let [bf16, bytes] = core.tiles?;
        let multiply_adds = if operands == Operands::Bf16 { bf16 } else { bytes };
        return Some((f64::from(2 * multiply_adds), format!("{}, tiles", core.name)));
    }
    let wide = bits == 512;
    let multiply_adds = match operands {
        Operands::F32 => core.fma[usize::from(wide)],
        // Two i16 in place of one f32 on the same pipes.
        Operands::Int16 => 2 * core.fma[usize::from(wide)],
        Operands::Bf16 if wide => core.wide?[0],
        Operands::Bytes if wide => core.wide?[1],
        Operands::Bf16 | Operands::Bytes | Operands::NarrowBytes => return None,
    };
    Some((f64::from(2 * multiply_adds), format!("{}, {bits}-bit", core.name)))
}

/// Whether bf16 dot products with 512-bit registers are at least as fast as f32 multiply-adds: not where the core takes
/// two cycles for each. True for a family that is not in the table.
pub fn bf16_dot_pays() -> bool {
    this_family().and_then(|core| Some(core.wide?[0] >= core.fma[1])).unwrap_or(true)
}

fn this_family() -> Option<Family> {
    let (vendor, family, model) = identity()?;
    family_of(&vendor, family, model)
}

/// Sources: AMD, Software Optimization Guides for families 17h (56305), 19h (56665, 57647) and 1Ah (58455); Intel, 64 and
/// IA-32 Architectures Optimization Reference Manual (248966), sections on the microarchitectures. Where a family comes
/// with one or two 512-bit multiply-add units, the larger number: it is a ceiling. Sapphire Rapids' bf16 dot product: one
/// every two cycles, as measured on an Emerald Rapids (model 0xcf); its tiles: 16 x 16 sums of 32 or 64 products in 16
/// cycles.
fn family_of(vendor: &str, family: u32, model: u32) -> Option<Family> {
    let core = |name, fma, wide| Some(Family { name, fma, wide, tiles: None });
    match (vendor, family, model) {
        ("AuthenticAMD", 0x17, 0x00..=0x2f) => core("Zen", [8, 8], None),
        ("AuthenticAMD", 0x17, _) => core("Zen 2", [16, 16], None),
        ("AuthenticAMD", 0x19, 0x10..=0x1f | 0x60..=0x7f | 0xa0..=0xaf) => {
            core("Zen 4", [16, 16], Some([32, 64]))
        }
        ("AuthenticAMD", 0x19, _) => core("Zen 3", [16, 16], None),
        ("AuthenticAMD", 0x1a, 0x00..=0x1f | 0x40..=0x4f) => {
            core("Zen 5", [16, 32], Some([64, 128]))
        }
        ("GenuineIntel", 6, 0x3c | 0x3f | 0x45 | 0x46 | 0x3d | 0x47 | 0x4f | 0x56) => {
            core("Haswell, Broadwell", [16, 16], None)
        }
        ("GenuineIntel", 6, 0x55) => core("Skylake-SP, Cascade Lake", [16, 32], Some([32, 128])),
        ("GenuineIntel", 6, 0x6a | 0x6c) => core("Ice Lake-SP", [16, 32], Some([32, 128])),
        ("GenuineIntel", 6, 0x8f | 0xcf | 0xad | 0xae) => {
            let core = core("Sapphire Rapids, Granite Rapids", [16, 32], Some([16, 128]))?;
            Some(Family { tiles: Some([512, 1024]), ..core })
        }
        _ => None,
    }
}

/// Vendor, family and model of this CPU.
#[cfg(target_arch = "x86_64")]
fn identity() -> Option<(String, u32, u32)> {
    use std::arch::x86_64::__cpuid;
    let vendor = __cpuid(0);
    let name = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat();
    let version = __cpuid(1).eax;
    let (base, extended) = (version >> 8 & 15, version >> 20 & 255);
    let family = if base == 15 { base + extended } else { base };
    let model = version >> 4 & 15 | (version >> 16 & 15) << 4;
    Some((String::from_utf8(name).ok()?, family, model))
}

#[cfg(not(target_arch = "x86_64"))]
fn identity() -> Option<(String, u32, u32)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_by_the_numbers_of_their_manuals() {
        let name = |vendor, family, model| family_of(vendor, family, model).map(|core| core.name);
        assert_eq!(name("AuthenticAMD", 25, 17), Some("Zen 4"));
        assert_eq!(name("AuthenticAMD", 25, 1), Some("Zen 3"));
        assert_eq!(name("AuthenticAMD", 23, 0x31), Some("Zen 2"));
        assert_eq!(name("GenuineIntel", 6, 0x8f), Some("Sapphire Rapids, Granite Rapids"));
        assert_eq!(name("HygonGenuine", 24, 0), None);
        let tiles = |model| family_of("GenuineIntel", 6, model).and_then(|core| core.tiles);
        assert_eq!((tiles(0xcf), tiles(0x6a)), (Some([512, 1024]), None));
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_clock_is_one_that_cores_have() {
        let clock = core_clock().unwrap();
        assert!((0.3e9..10e9).contains(&clock), "{clock:e}");
    }
}
