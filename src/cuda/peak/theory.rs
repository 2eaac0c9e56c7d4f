//! What tensor cores can do by their published rates: operations a multiprocessor and clock cycle, by compute capability.

use cudarc::driver::sys::CUdevice_attribute as Attribute;

use crate::cuda::gpu::Gpu;
use crate::number::{BlockFormat, Format};
use crate::record::{Ceiling, Origin};

/// Dense operations of one multiprocessor in one clock cycle, a multiply-add counted as two, with 32-bit sums.
/// `None` where the chip has no unit for `format`, or its rate is not known.
///
/// GeForce boards sum f32 at half the rate of the same chip on a professional board; block-scaled products are not
/// halved. Sources: NVIDIA's architecture papers for A100, GA102, H100, Ada, Blackwell and RTX Blackwell, whose totals
/// the tests recompute; fp4 on 12.0 was also measured (Neroued/ninfer pull request 160: 4,095 a cycle on an RTX 5090).
pub fn operations_per_cycle(capability: (i32, i32), geforce: bool, format: Format) -> Option<u32> {
    use Format::{Bf16, Fp8E4m3, Fp8E5m2, Int8, Mxfp4};
    let halved = |rate: u32| Some(if geforce { rate / 2 } else { rate });
    match (capability, format) {
        ((8, 0), Bf16) => Some(2048),
        ((8, 0), Int8) => Some(4096),
        ((8, 6 | 9) | (12, 0), Bf16) => halved(1024),
        ((8, 6 | 9) | (12, 0), Int8) => Some(2048),
        ((8, 9) | (12, 0), Fp8E4m3 | Fp8E5m2) => halved(2048),
        ((12, 0), Mxfp4) => Some(4096),
        ((9, 0), Bf16) => Some(4096),
        ((9, 0), Int8 | Fp8E4m3 | Fp8E5m2) => Some(8192),
        ((10, 0 | 3), Bf16) => Some(8192),
        ((10, 0 | 3), Fp8E4m3 | Fp8E5m2) | ((10, 0), Int8) => Some(16384),
        ((10, 0), Mxfp4) => Some(32768),
        ((10, 3), Mxfp4) => Some(49152),
        _ => None,
    }
}

/// The same for block-scaled products in the formats that only libraries multiply: mxfp8 as fp8 where nothing is halved,
/// nvfp4 as mxfp4. (gau-nernst/gn-kernels, README: the limits that its table divides by; DCGM and clpeak agree on nvfp4.)
pub fn blocked_operations_per_cycle(capability: (i32, i32), format: BlockFormat) -> Option<u32> {
    let like = match format {
        BlockFormat::Mxfp8 => Format::Fp8E4m3,
        BlockFormat::Nvfp4 => Format::Mxfp4,
    };
    (capability.0 >= 10).then(|| operations_per_cycle(capability, false, like)).flatten()
}

/// Whether `name` is that of a GeForce board.
pub fn is_geforce(name: &str) -> bool {
    name.contains("GeForce")
}

/// The ceiling of products in `format` on `gpu` at `clock` Hz; at the highest clock that the driver reports where none
/// was measured.
///
/// In TFLOP/s (TOP/s for int8). A published figure at the rated boost clock is no upper bound: boards run above it, so
/// the clock belongs to the ceiling.
pub fn theoretical(gpu: &Gpu, format: Format, clock: Option<f64>) -> Option<Ceiling> {
    let capability = gpu.context().compute_capability().ok()?;
    at_rate(gpu, operations_per_cycle(capability, is_geforce(gpu.name()), format)?, clock)
}

/// [`theoretical`] at the highest clock that the driver reports, of block-scaled products.
pub fn theoretical_blocked(gpu: &Gpu, format: BlockFormat) -> Option<Ceiling> {
    let capability = gpu.context().compute_capability().ok()?;
    at_rate(gpu, blocked_operations_per_cycle(capability, format)?, None)
}

/// The ceiling of `operations` a multiprocessor and cycle.
fn at_rate(gpu: &Gpu, operations: u32, clock: Option<f64>) -> Option<Ceiling> {
    let multiprocessors = gpu.multiprocessors().ok()?;
    let (hertz, how) = match clock {
        Some(hertz) => (hertz, "measured"),
        None => (boost_clock(gpu)?, "the highest that the driver reports"),
    };
    Some(Ceiling {
        value: f64::from(multiprocessors) * f64::from(operations) * hertz / 1e12,
        origin: Origin::Theoretical,
        source: format!(
            "{multiprocessors} multiprocessors x {operations} operations a cycle x {:.0} MHz ({how})",
            hertz / 1e6
        ),
    })
}

/// Highest clock of the multiprocessors in Hz.
pub fn boost_clock(gpu: &Gpu) -> Option<f64> {
    let kilohertz = gpu.context().attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE).ok()?;
    (kilohertz > 0).then(|| f64::from(kilohertz) * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Format::{Bf16, Fp8E4m3, Int8, Mxfp4};

    /// Name, capability, multiprocessors, boost clock in GHz, and published dense TFLOP/s or TOP/s.
    type Board = (&'static str, (i32, i32), f64, f64, &'static [(Format, f64)]);

    const BOARDS: [Board; 9] = [
        ("A100 SXM", (8, 0), 108.0, 1.410, &[(Bf16, 312.0), (Int8, 624.0)]),
        ("A40", (8, 6), 84.0, 1.740, &[(Bf16, 149.7), (Int8, 299.3)]),
        ("GeForce RTX 3090", (8, 6), 82.0, 1.695, &[(Bf16, 71.0), (Int8, 284.0)]),
        ("L40S", (8, 9), 142.0, 2.490, &[(Bf16, 362.0), (Fp8E4m3, 733.0), (Int8, 733.0)]),
        (
            "GeForce RTX 4090",
            (8, 9),
            128.0,
            2.520,
            &[(Bf16, 165.2), (Fp8E4m3, 330.3), (Int8, 660.6)],
        ),
        ("H100 SXM", (9, 0), 132.0, 1.830, &[(Bf16, 989.4), (Fp8E4m3, 1978.9), (Int8, 1978.9)]),
        ("B200", (10, 0), 148.0, 1.856, &[(Bf16, 2250.0), (Fp8E4m3, 4500.0), (Mxfp4, 9000.0)]),
        (
            "RTX PRO 6000 Blackwell",
            (12, 0),
            188.0,
            2.617,
            &[(Bf16, 503.8), (Fp8E4m3, 1007.6), (Int8, 1007.6), (Mxfp4, 2015.0)],
        ),
        (
            "GeForce RTX 5090",
            (12, 0),
            170.0,
            2.407,
            &[(Bf16, 209.5), (Fp8E4m3, 419.0), (Int8, 838.0), (Mxfp4, 1676.0)],
        ),
    ];

    #[test]
    fn rates_give_the_published_totals() {
        for (name, capability, multiprocessors, gigahertz, totals) in BOARDS {
            for &(format, published) in totals {
                let rate = operations_per_cycle(capability, is_geforce(name), format);
                let total = multiprocessors * f64::from(rate.expect(name)) * gigahertz / 1e3;
                let off = (total / published - 1.0).abs();
                assert!(off < 0.015, "{name} {}: {total:.1}, published {published}", format.name());
            }
        }
    }

    #[test]
    fn a_format_without_a_unit_has_no_rate() {
        for (capability, format) in
            [((8, 0), Fp8E4m3), ((8, 6), Fp8E4m3), ((8, 9), Mxfp4), ((9, 0), Mxfp4), ((7, 0), Bf16)]
        {
            assert_eq!(operations_per_cycle(capability, false, format), None, "{capability:?}");
        }
    }

    #[test]
    fn block_scaled_products_are_halved_on_no_board() {
        use BlockFormat::{Mxfp8, Nvfp4};
        let of = blocked_operations_per_cycle;
        assert_eq!([of((12, 0), Mxfp8), of((12, 0), Nvfp4)], [Some(2048), Some(4096)]);
        assert_eq!([of((10, 0), Mxfp8), of((10, 0), Nvfp4)], [Some(16384), Some(32768)]);
        assert_eq!([of((9, 0), Mxfp8), of((8, 9), Nvfp4)], [None, None]);
    }
}
