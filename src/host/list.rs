//! Lists of CPUs and nodes as the kernel writes them: `0-3,8,10-11`.

/// The kernel's own limit on CPUs is 8,192 on x86; a list beyond this is no list of CPUs.
const LARGEST: usize = 1 << 16;

/// Parses a list; the empty list is the empty text. Ascending, each once. `None` when it is no such list.
pub fn parse(text: &str) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    for range in text.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > LARGEST {
            return None;
        }
        list.extend(first..=last);
    }
    list.sort_unstable();
    list.dedup();
    Some(list)
}

/// Writes an ascending list.
pub fn format(list: &[usize]) -> String {
    let runs = list.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        run => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// For `#[serde(with = "list::text")]`.
pub mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// As the kernel writes it.
    pub fn serialize<S: Serializer>(list: &[usize], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format(list))
    }

    /// Refuses what is no list.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("{text:?} is no list like 0-3,8")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_the_kernels() {
        assert_eq!(parse("0-3,8,10-11\n"), Some(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(parse(""), Some(vec![]));
        assert_eq!(parse("5,1-2,2"), Some(vec![1, 2, 5]));
        for bad in ["3-1", "x", "1-", "-1", "0-99999999999", "1;2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn writing_and_parsing_are_inverse() {
        for text in ["", "0", "0-3", "0,2,4-6", "7,9-10"] {
            assert_eq!(format(&parse(text).unwrap()), text);
        }
    }
}
