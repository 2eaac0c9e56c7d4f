//! Names with a wildcard.

/// Whether `pattern`, in which `*` stands for any text, is `name`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(tail) => rest.is_empty() || tail.is_empty() || rest.ends_with(tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("numa.nodes", "numa.nodes", true),
            ("numa.nodes", "numa.nodes2", false),
            ("pci.*.bar_bytes", "pci.0000:01:00.0.bar_bytes", true),
            ("pci.*.bar_bytes", "pci.0000:01:00.0.bar_bytes2", false),
            ("kernel.thp.*", "kernel.thp.enabled", true),
            ("kernel.cmdline.*max_cstate", "kernel.cmdline.processor.max_cstate", true),
            ("dmi.bios_*", "dmi.board_name", false),
            ("a*b", "ab.b", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
