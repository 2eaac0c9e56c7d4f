//! GPUs that were slowed down, idled at work, or have faulty memory, as NVML told it around and under load.

use std::collections::BTreeMap;

use super::{Facts, Said};
use crate::qualify::identity;
use crate::qualify::rules::Verdict;
use crate::qualify::seen;
use crate::record::throttle::is_fault;
use crate::record::{MetricRecord, State};

/// A BAR of 256 MiB is what a GPU shows that was not allowed to resize it.
const SMALL_BAR: u64 = 256 << 20;

pub fn throttled(facts: &Facts<'_>) -> Vec<Said> {
    let mut slowed: Vec<String> = Vec::new();
    for metric in facts.metrics.iter().filter(|metric| identity::on_gpu(metric)) {
        let faults: Vec<&str> =
            seen::throttle_reasons(metric).into_iter().filter(|name| is_fault(name)).collect();
        match (faults.is_empty(), metric.state) {
            (false, _) => slowed.push(format!("{}: {}", metric.id, faults.join(", "))),
            (true, State::Throttled) => {
                let reason = metric.reason.as_deref().unwrap_or("no reason recorded");
                slowed.push(format!("{}: {reason}", metric.id));
            }
            _ => {}
        }
    }
    let Some(first) = slowed.first() else { return Vec::new() };
    let more = match slowed.len() - 1 {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    vec![(
        Verdict::Warn,
        format!("clocks were lowered during {first}{more}"),
        "nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER".to_owned(),
        "Check cooling, air flow and power supply, and measure again",
    )]
}

/// Utilisation counts time in which something ran, not how much: at work a GPU draws power.
pub fn busy_at_low_power(facts: &Facts<'_>) -> Vec<Said> {
    const BUSY_PERCENT: f64 = 90.0;
    const POWER_SHARE: f64 = 0.4;
    let idle = facts.metrics.iter().find_map(|metric| {
        let name = metric.id.as_str();
        // Only tensor work is bound to draw power: copies and small kernels are not.
        let tensor = name.starts_with("compute/peak/gpu") && !name.ends_with("mma.sync");
        let busy = seen::most(metric, "utilization_percent")?;
        let power = seen::most(metric, "power_w")?;
        let limit = seen::number(metric, "power_limit_w")?;
        (tensor && busy >= BUSY_PERCENT && power < POWER_SHARE * limit).then(|| {
            format!(
                "{name} kept the GPU {busy:.0} % busy at no more than {power:.0} W of {limit:.0} W"
            )
        })
    });
    idle.into_iter()
        .map(|what| {
            (
                Verdict::Warn,
                what,
                "nvidia-smi dmon -s pucm".to_owned(),
                "Its units did not work: look for clocks that are held low, a missing power cable, or a fault of the board",
            )
        })
        .collect()
}

/// The highest count of `name` that metrics recorded, by GPU.
fn counts(facts: &Facts<'_>, name: &str) -> BTreeMap<String, f64> {
    let mut counts = BTreeMap::new();
    for metric in facts.metrics.iter().filter(|metric| identity::on_gpu(metric)) {
        if let Some(count) = seen::number(metric, name).filter(|count| *count > 0.0) {
            let gpu = gpu_of(facts, metric);
            let most: &mut f64 = counts.entry(gpu).or_default();
            *most = most.max(count);
        }
    }
    counts
}

fn gpu_of(facts: &Facts<'_>, metric: &MetricRecord) -> String {
    identity::device(facts.host, metric)
        .map_or_else(|_| metric.id.to_string(), |gpu| gpu.bdf.clone())
}

fn counted(
    facts: &Facts<'_>,
    kinds: &[(&str, Verdict, &str)],
    command: &str,
    next: &'static str,
) -> Vec<Said> {
    let found = kinds.iter().flat_map(|(name, severity, what)| {
        counts(facts, name)
            .into_iter()
            .map(move |(gpu, count)| (*severity, format!("GPU {gpu} counts {count} {what}")))
    });
    found.map(|(severity, what)| (severity, what, command.to_owned(), next)).collect()
}

pub fn memory_errors(facts: &Facts<'_>) -> Vec<Said> {
    counted(
        facts,
        &[
            ("ecc_uncorrected_since_boot", Verdict::Fail, "uncorrected memory errors since boot"),
            ("ecc_corrected_since_boot", Verdict::Warn, "corrected memory errors since boot"),
        ],
        "nvidia-smi -q -d ECC",
        "Reset the GPU or reboot, run `dcgmi diag -r 3`, and replace the GPU if errors come back",
    )
}

pub fn rows_remapped(facts: &Facts<'_>) -> Vec<Said> {
    counted(
        facts,
        &[
            ("remapped_rows_failed", Verdict::Fail, "rows that could not be remapped"),
            ("remapped_rows_uncorrected", Verdict::Warn, "rows remapped after uncorrected errors"),
            ("remapped_rows_corrected", Verdict::Warn, "rows remapped after corrected errors"),
            ("remapped_rows_pending", Verdict::Warn, "rows to be remapped at the next reset"),
        ],
        "nvidia-smi -q -d ROW_REMAPPER",
        "Reset the GPU where rows are pending; replace it where remapping failed",
    )
}

/// A BAR that does not show all of the GPU's memory.
pub fn small_bar(facts: &Facts<'_>) -> Vec<Said> {
    let gpus = identity::gpus(facts.host).into_iter();
    gpus.filter_map(|gpu| {
        let bars = &facts.host.environment.get(&format!("pci.{}.bar_bytes", gpu.bdf))?.value;
        let largest = bars.as_array()?.iter().filter_map(|bar| bar.as_u64()).max()?;
        let known = facts.reference.gpu(&gpu.id);
        let memory =
            known.map_or(SMALL_BAR + 1, |known| u64::from(known.memory_gb) * 1_000_000_000);
        (largest < memory).then(|| {
            let of = known.map_or(String::new(), |known| format!(" of {} GB", known.memory_gb));
            (
                Verdict::Warn,
                format!(
                    "the largest BAR of GPU {} shows {} MiB{of}: resizable BAR is off, or limited",
                    gpu.bdf,
                    largest >> 20
                ),
                "nvidia-smi -q -d MEMORY".to_owned(),
                "Enable Above 4G Decoding and Resizable BAR in the BIOS",
            )
        })
    })
    .collect()
}
