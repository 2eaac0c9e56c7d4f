//! Slips in the reference figures, caught by physics: every figure is held against what the others allow.
//!
//! Tables in use elsewhere have shipped a floor of 2333 for an H200 (GB/s in a column of MB/s) and of 49,050 MB/s for
//! an L40 (ten times too low): both pass every test that looks at one figure alone.

use super::reference::{Figure, Gpu, Kind, Reference};

/// A specification may be rounded by this share, not more.
const ROUNDING: f64 = 0.03;
/// A sustained figure lies between these shares of the roof. The least efficient one in public tables is above a half
/// (INT8 on H200, gau-nernst/gn-kernels), while a slip of unit is a factor of eight at least.
const SUSTAINED: [f64; 2] = [0.3, 1.0];
/// Of two parts, one that is specified to be faster by this factor is not slower in practice.
const CLEARLY_FASTER: f64 = 1.2;
/// Formats from slow to fast: a narrower one is never slower on the same unit.
const FAMILY: [&str; 4] = ["bf16", "fp8", "int8", "mxfp4"];

/// What must say where it comes from, and whether a GPU has it.
type Fact = (&'static str, fn(&Gpu) -> bool);
const FACTS: [Fact; 8] = [
    ("pci", |_| true),
    ("multiprocessors", |gpu| gpu.multiprocessors.is_some()),
    ("clock_mhz", |gpu| gpu.clock_mhz.is_some()),
    ("max_clock_mhz", |gpu| gpu.max_clock_mhz.is_some()),
    ("memory_mhz", |gpu| gpu.memory_mhz.is_some()),
    ("memory_bits", |gpu| gpu.memory_bits.is_some()),
    ("power_w", |_| true),
    ("pcie_generation", |_| true),
];

/// Everything that contradicts itself, one line each; empty for a sound reference.
pub fn contradictions(reference: &Reference) -> Vec<String> {
    let mut found: Vec<String> =
        reference.gpus.iter().flat_map(|gpu| of_gpu(reference, gpu)).collect();
    for (a, b) in reference.gpus.iter().flat_map(|a| reference.gpus.iter().map(move |b| (a, b))) {
        found.extend(out_of_order(a, b));
    }
    let mut hold = |sound: bool, what: String| {
        if !sound {
            found.push(what);
        }
    };
    for family in &reference.families {
        hold(!family.source.is_empty(), format!("{}: no source", family.name));
    }
    for link in &reference.links {
        let raw = link.raw();
        let what = format!("PCIe {}: {} GB/s of {raw:.1} on the wire", link.generation, link.value);
        hold((0.7 * raw..=0.97 * raw).contains(&link.value), what);
        hold(dated(&link.date, &link.source), format!("PCIe {}: source or date", link.generation));
    }
    for cpu in &reference.cpus {
        let sane = (2..=16).contains(&cpu.channels) && (2133..=12_800).contains(&cpu.mts);
        let sane = sane && (0.5..=1.0).contains(&cpu.read_share);
        hold(sane, format!("{}: channels, speed or share", cpu.name));
        hold(dated(&cpu.date, &cpu.source), format!("{}: source or date", cpu.name));
    }
    for drive in &reference.drives {
        let raw = drive.raw();
        let what = format!("{}: {} GB/s of {raw:.1} on the wire", drive.name, drive.value);
        hold((0.5 * raw..=0.97 * raw).contains(&drive.value), what);
        hold(dated(&drive.date, &drive.source), format!("{}: source or date", drive.name));
    }
    found
}

fn of_gpu(reference: &Reference, gpu: &Gpu) -> Vec<String> {
    let mut found = Vec::new();
    for figure in &gpu.figures {
        for what in sourced(figure).into_iter().chain(off(reference, gpu, figure)) {
            found.push(format!("{}, {} {}: {what}", gpu.name, figure.quantity, figure.value));
        }
    }
    found.extend(monotone(gpu));
    if !reference.families.iter().any(|family| family.name == gpu.family) {
        found.push(format!("{}: no family {}", gpu.name, gpu.family));
    }
    let clocks = gpu.clock_mhz.zip(gpu.max_clock_mhz).is_none_or(|(rated, most)| rated <= most);
    if !(clocks && (50.0..2000.0).contains(&gpu.power_w)) {
        found.push(format!("{}: clocks or power", gpu.name));
    }
    for (fact, has) in FACTS {
        if has(gpu) && gpu.sources.get(fact).is_none_or(String::is_empty) {
            found.push(format!("{}: no source for {fact}", gpu.name));
        }
    }
    found
}

/// Whether there is a source, and a date like 2026-08-16.
fn dated(date: &str, source: &str) -> bool {
    let date = date.split('-').map(str::len).collect::<Vec<_>>() == [4, 2, 2];
    date && !source.is_empty()
}

/// Whether the figure says where it comes from, and its dispute what is disputed.
fn sourced(figure: &Figure) -> Option<String> {
    let complete = dated(&figure.date, &figure.source) && !figure.conditions.is_empty();
    let within = figure.between.is_none_or(|[low, high]| {
        low < high && (low..=high).contains(&figure.value) && figure.disputed.is_some()
    });
    (!complete || !within).then(|| "source, date, conditions or dispute are incomplete".to_owned())
}

/// What physics says against a figure.
fn off(reference: &Reference, gpu: &Gpu, figure: &Figure) -> Option<String> {
    let of_memory = figure.quantity == "memory" || figure.quantity.starts_with("vram/");
    let format = figure.quantity.rsplit('/').next().unwrap_or_default();
    // Sustained figures of cards that run above their rated boost are held against the highest clock.
    let clock = match figure.kind {
        Kind::Specification => gpu.clock_mhz,
        Kind::Sustained => gpu.max_clock_mhz.or(gpu.clock_mhz),
    };
    let physical = if of_memory {
        let (mhz, bits) = (gpu.memory_mhz.unwrap_or(0.0), gpu.memory_bits.unwrap_or(0));
        gpu.memory_roof().map(|roof| (roof, format!("2 x {mhz} MHz x {bits} bit")))
    } else {
        clock.and_then(|mhz| {
            let roof = reference.compute_roof(gpu, format, mhz)?;
            Some((roof, format!("multiprocessors x rate x {mhz} MHz")))
        })
    };
    // Where nobody tells clocks or widths, a sustained figure is still below the specification.
    let specified = gpu.specified(if of_memory { "memory" } else { format });
    let specified = specified.map(|f| (f.value, "the specification".to_owned()));
    let (roof, source) = match (physical, figure.kind, specified) {
        (Some(physical), ..) => physical,
        (None, Kind::Sustained, Some(specified)) => specified,
        // Nobody tells clocks or widths: the specification stands alone.
        (None, Kind::Specification, _) => return None,
        (None, Kind::Sustained, None) => return Some("nothing to hold it against".to_owned()),
    };
    let share = figure.value / roof;
    let allowed = match (figure.kind, figure.between) {
        (Kind::Specification, Some([low, high])) => {
            return (!((1.0 - ROUNDING) * low..=(1.0 + ROUNDING) * high).contains(&roof))
                .then(|| format!("{source} is {roof:.0}, outside of what is disputed"));
        }
        (Kind::Specification, None) => [1.0 - ROUNDING, 1.0 + ROUNDING],
        (Kind::Sustained, _) => SUSTAINED,
    };
    (!(allowed[0]..=allowed[1]).contains(&share))
        .then(|| format!("{share:.3} of {source} = {roof:.0}, which can't be"))
}

/// What `fast` does slower than `slow`, although it is specified to be clearly faster: memory among all GPUs, arithmetic
/// within a family, for cards of others run above their rated boost.
fn out_of_order(fast: &Gpu, slow: &Gpu) -> Option<String> {
    let sustained = fast.figures.iter().filter(|figure| figure.kind == Kind::Sustained);
    let mut wrong = sustained.filter_map(|figure| {
        let specified = match figure.quantity.split_once('/')? {
            ("vram", _) => "memory",
            (_, format) if fast.family == slow.family => format,
            _ => return None,
        };
        let ratio = fast.specified(specified)?.value / slow.specified(specified)?.value;
        let other = slow.sustained(&figure.quantity)?;
        (ratio >= CLEARLY_FASTER && figure.value < other.value).then(|| {
            format!(
                "{}, {} {}: slower than {} of {}, which is specified {ratio:.1} times slower",
                fast.name, figure.quantity, figure.value, other.value, slow.name
            )
        })
    });
    wrong.next()
}

fn monotone(gpu: &Gpu) -> Option<String> {
    let known: Vec<(&str, f64)> =
        FAMILY.iter().filter_map(|f| Some((*f, gpu.specified(f)?.value))).collect();
    known.windows(2).find(|pair| pair[1].1 < pair[0].1).map(|pair| {
        format!(
            "{}: {} ({}) is slower than {} ({})",
            gpu.name, pair[1].0, pair[1].1, pair[0].0, pair[0].1
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::reference::Confidence;
    use super::*;

    fn reference() -> Reference {
        Reference::built_in().unwrap()
    }

    /// The contradictions after `change` to the first GPU whose name begins with `name`.
    fn after(name: &str, change: impl Fn(&mut Gpu)) -> Vec<String> {
        let mut reference = reference();
        let exact = reference.gpus.iter().position(|gpu| gpu.name == name);
        let begun = || reference.gpus.iter().position(|gpu| gpu.name.starts_with(name));
        let index = exact.or_else(begun).unwrap();
        change(&mut reference.gpus[index]);
        contradictions(&reference)
    }

    fn figure(quantity: &str, kind: Kind, value: f64) -> Figure {
        Figure {
            quantity: quantity.into(),
            kind,
            value,
            source: "test".into(),
            at: None,
            date: "2026-01-01".into(),
            conditions: "test".into(),
            confidence: Confidence::High,
            between: None,
            disputed: None,
            warn: None,
            fail: None,
        }
    }

    #[test]
    fn the_committed_reference_is_sound() {
        assert_eq!(contradictions(&reference()), [""; 0]);
    }

    #[test]
    fn slips_that_shipped_elsewhere_are_caught() {
        // In that file's unit, MB/s: 2333 is a thousandth, 49,050 a tenth of what was meant.
        for (name, mb_s) in [("H200", 2333.0), ("L40", 49_050.0)] {
            let slipped = after(name, |gpu| {
                gpu.figures.retain(|f| f.quantity != "vram/read");
                gpu.figures.push(figure("vram/read", Kind::Sustained, mb_s / 1e3));
            });
            assert!(slipped[0].contains("which can't be"), "{slipped:?}");
        }
    }

    /// The same 2333, had it been written into a column of GB/s: no nonsense alone, but less than an H100 reads.
    #[test]
    fn a_faster_part_is_not_slower() {
        let slipped = after("H200", |gpu| {
            gpu.figures.retain(|f| f.quantity != "vram/read");
            gpu.figures.push(figure("vram/read", Kind::Sustained, 2333.0));
        });
        assert!(slipped[0].contains("slower than 3151 of H100 SXM5"), "{slipped:?}");
        let slipped = after("RTX PRO 6000 Blackwell Workstation", |gpu| {
            gpu.figures.iter_mut().filter(|f| f.quantity == "gemm/bf16").for_each(|f| {
                (f.value, f.between) = (160.0, None);
            });
        });
        assert!(slipped.is_empty(), "its family has no clearly slower part: {slipped:?}");
    }

    #[test]
    fn other_slips_are_caught() {
        let spec = |quantity: &str, value: f64| figure(quantity, Kind::Specification, value);
        for (name, wrong) in [
            ("H100 SXM5", spec("bf16", 1979.0)),
            ("H100 SXM5", spec("memory", 3.35)),
            ("GeForce RTX 4090", spec("fp8", 660.6)),
            ("B200", spec("memory", 1.792e15)),
            ("A100 SXM4", figure("gemm/bf16", Kind::Sustained, 624.0)),
            ("H100 SXM5", figure("gemm/fp8", Kind::Sustained, f64::NAN)),
        ] {
            let slipped = after(name, |gpu| {
                gpu.figures.retain(|f| f.quantity != wrong.quantity);
                gpu.figures.push(wrong.clone());
            });
            assert!(!slipped.is_empty(), "{name} {}", wrong.quantity);
        }
        let undated = after("L40S", |gpu| gpu.figures[0].date = "yesterday".into());
        assert!(undated[0].contains("incomplete"), "{undated:?}");
        let unsourced = after("L40S", |gpu| _ = gpu.sources.remove("memory_mhz"));
        assert_eq!(unsourced, ["L40S: no source for memory_mhz"]);
        let slower = after("L40S", |gpu| {
            gpu.figures.iter_mut().filter(|f| f.quantity == "fp8").for_each(|f| f.value = 300.0)
        });
        assert!(slower.iter().any(|s| s.contains("slower than bf16")), "{slower:?}");
    }
}
