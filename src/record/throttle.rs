//! Why a GPU lowered its clocks: NVML's bit set, read bit by bit, for several are set at once as a rule.

/// What a reason means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Normal: the power limit, which work that fills the tensor cores reaches on every board, or clocks that somebody
    /// set.
    Expected,
    /// Heat, or a power supply that asked for less: the figure does not show what the device can do.
    Fault,
}

/// Bits of `nvmlClocksEventReasons` (NVML API reference), their names in records, and what they mean.
pub const REASONS: [(u64, &str, Meaning); 9] = [
    (0x1, "idle", Meaning::Expected),
    (0x2, "applications clocks setting", Meaning::Expected),
    (0x4, "power cap", Meaning::Expected),
    (0x8, "hardware slowdown", Meaning::Fault),
    (0x10, "sync boost", Meaning::Expected),
    (0x20, "software thermal slowdown", Meaning::Fault),
    (0x40, "hardware thermal slowdown", Meaning::Fault),
    (0x80, "hardware power brake", Meaning::Fault),
    (0x100, "display clock setting", Meaning::Expected),
];

/// Every reason that is set in `bits`; an unknown one by its bit.
pub fn names(bits: u64) -> Vec<String> {
    let known = REASONS.iter().filter(|(bit, ..)| bits & bit != 0).map(|(_, name, _)| *name);
    let unknown = bits & !REASONS.iter().fold(0, |all, (bit, ..)| all | bit);
    known
        .map(str::to_owned)
        .chain((unknown != 0).then(|| format!("unknown {unknown:#x}")))
        .collect()
}

/// Whether the reason called `name` is a fault; one that is not known counts as such.
pub fn is_fault(name: &str) -> bool {
    let known = REASONS.iter().find(|(_, known, _)| *known == name);
    known.is_none_or(|(.., meaning)| *meaning == Meaning::Fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_bits_are_all_seen() {
        let faults =
            |bits| names(bits).into_iter().filter(|name| is_fault(name)).collect::<Vec<_>>();
        assert_eq!(names(0), [""; 0]);
        assert_eq!(faults(0x4 | 0x1), [""; 0], "a power cap under load is normal");
        assert_eq!(names(0x4 | 0x40), ["power cap", "hardware thermal slowdown"]);
        assert_eq!(faults(0x4 | 0x8 | 0x40), ["hardware slowdown", "hardware thermal slowdown"]);
        assert_eq!(faults(1 << 40), ["unknown 0x10000000000"]);
    }
}
