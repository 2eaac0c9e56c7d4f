//! What bounds a product on a GPU: its tensor cores at the clock that the driver reports, or its memory.

use crate::cuda::Gpu;
use crate::number::Format;
use crate::record::{Ceiling, Origin, Unit, Work};

/// Operations a multiprocessor and clock with dense operands and 32-bit sums, from NVIDIA's peak rates divided by
/// multiprocessors and tensor clock; `None` where the chip has no unit for the format.
///
/// The rates are of compute capabilities 8.0 (A100), 8.6, 8.9, 9.0, 10.0 and 12.0. GeForce chips of 8.9 and 12.0 have
/// half of their workstation siblings' rate for bf16 and fp8 with f32 sums.
fn operations_per_clock(architecture: &str, geforce: bool, format: Format) -> Option<f64> {
    let [bf16, int8, fp8, mxfp4] = match architecture {
        "sm_80" => [2048., 4096., 0., 0.],
        "sm_86" => [1024., 2048., 0., 0.],
        "sm_89" => [1024., 2048., 2048., 0.],
        "sm_90a" => [4096., 8192., 8192., 0.],
        "sm_100a" => [8192., 16384., 16384., 32768.],
        "sm_120a" => [1024., 2048., 2048., 4096.],
        _ => return None,
    };
    let half = if geforce && architecture != "sm_80" { 0.5 } else { 1.0 };
    let rate = match format {
        Format::Bf16 => bf16 * half,
        Format::Int8 => int8,
        Format::Fp8E4m3 | Format::Fp8E5m2 => fp8 * half,
        Format::Mxfp4 => mxfp4,
    };
    (rate > 0.0).then_some(rate)
}

/// The lower of both bounds for `work`, in `unit`: the roofline.
pub fn ceiling(gpu: &Gpu, format: Format, work: &Work, unit: Unit) -> Option<Ceiling> {
    let geforce = gpu.name().contains("GeForce");
    let compute = operations_per_clock(gpu.architecture(), geforce, format).and_then(|rate| {
        let (count, clock) = (gpu.multiprocessors().ok()?, gpu.clock_khz().ok()?);
        let per_second = rate * f64::from(count) * f64::from(clock) * 1e3;
        let source = format!("{count} multiprocessors x {rate} operations x {} MHz", clock / 1000);
        Some((work.flops as f64 / per_second, source))
    });
    let memory = gpu.memory_clock_and_width().ok().flatten().map(|(clock, width)| {
        let per_second = 2.0 * f64::from(clock) * 1e3 * f64::from(width) / 8.0;
        let source = format!("2 x {} MHz x {width} bit, as the driver reports them", clock / 1000);
        (work.counted_bytes() as f64 / per_second, source)
    });
    let slower = [compute, memory].into_iter().flatten().max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(Ceiling {
        value: unit.value(work, slower.0),
        origin: Origin::Theoretical,
        source: slower.1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published dense rates in TFLOP/s with the clocks that they are given for.
    #[test]
    fn rates_give_the_published_peaks() {
        for (architecture, geforce, format, count, gigahertz, published) in [
            ("sm_80", false, Format::Bf16, 108., 1.410, 312.),
            ("sm_90a", false, Format::Bf16, 132., 1.830, 989.),
            ("sm_90a", false, Format::Int8, 132., 1.830, 1979.),
            ("sm_89", false, Format::Fp8E4m3, 142., 2.490, 733.),
            ("sm_89", true, Format::Bf16, 128., 2.520, 165.2),
            ("sm_120a", false, Format::Mxfp4, 188., 2.617, 2015.),
        ] {
            let rate = operations_per_clock(architecture, geforce, format).expect("listed");
            let peak = rate * count * gigahertz / 1e3;
            assert!((peak / published - 1.0).abs() < 0.02, "{architecture} {format}: {peak}");
        }
        assert_eq!(operations_per_clock("sm_80", false, Format::Fp8E4m3), None);
    }
}
