//! The dotted qualifiers of an opcode, taken one by one.

use crate::ptx::Type;

/// Qualifiers in order; each must be taken exactly once.
pub struct Qualifiers<'a> {
    parts: Vec<&'a str>,
    taken: u64,
}

impl<'a> Qualifiers<'a> {
    pub fn new(parts: Vec<&'a str>) -> Result<Self, String> {
        if parts.len() > 32 {
            Err("more than 32 qualifiers".into())
        } else {
            Ok(Self { parts, taken: 0 })
        }
    }

    fn left(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.parts
            .iter()
            .enumerate()
            .filter(|(i, _)| self.taken >> i & 1 == 0)
            .map(|(i, part)| (i, *part))
    }

    /// Whether a qualifier is there and not yet taken.
    pub fn has(&self, name: &str) -> bool {
        self.left().any(|(_, part)| part == name)
    }

    /// Takes a qualifier if it is there.
    pub fn take(&mut self, name: &str) -> bool {
        let found = self.left().find(|(_, part)| *part == name).map(|(i, _)| i);
        self.taken |= found.map_or(0, |i| 1 << i);
        found.is_some()
    }

    /// Takes the first of the given qualifiers that is there.
    pub fn take_any(&mut self, names: &[&str]) -> Option<&'a str> {
        let (i, part) = self.left().find(|(_, part)| names.contains(part))?;
        self.taken |= 1 << i;
        Some(part)
    }

    /// Takes the first qualifier for which `f` has a meaning.
    pub fn take_map<T>(&mut self, f: impl Fn(&'a str) -> Option<T>) -> Option<T> {
        let (i, found) = self.left().find_map(|(i, part)| f(part).map(|t| (i, t)))?;
        self.taken |= 1 << i;
        Some(found)
    }

    /// Takes the next type.
    pub fn ty(&mut self) -> Result<Type, String> {
        self.take_map(Type::parse).ok_or_else(|| format!("no type among {:?}", self.parts))
    }

    /// Takes all that are left, for an instruction that parses its own.
    pub fn rest(&mut self) -> Vec<&'a str> {
        let rest = self.left().map(|(_, part)| part).collect();
        self.taken = u64::MAX;
        rest
    }

    /// Takes every cache hint that changes nothing about values.
    pub fn cache_hints(&mut self) -> bool {
        const HINTS: [&str; 11] =
            ["ca", "cg", "cs", "lu", "cv", "wb", "wt", "L2::64B", "L2::128B", "L2::256B", "nc"];
        while self.take_any(&HINTS).is_some() {}
        let eviction = |part: &str| {
            let level = part.strip_prefix("L1::").or_else(|| part.strip_prefix("L2::"))?;
            let known =
                ["evict_normal", "evict_unchanged", "evict_first", "evict_last", "no_allocate"];
            known.contains(&level).then_some(())
        };
        while self.take_map(eviction).is_some() {}
        self.take("L2::cache_hint")
    }

    /// Fails if one is left.
    pub fn finish(&self) -> Result<(), String> {
        match self.left().next() {
            None => Ok(()),
            Some((_, part)) => Err(format!("qualifier .{part} is not modelled here")),
        }
    }
}
