//! Neighbouring rows that belong together, and the path that their names share.

use super::part::Row;
use crate::record::MetricId;

/// Runs of neighbours whose names begin with the same segment.
pub fn families(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    let first = |id: &MetricId| id.as_str().split('/').next().map(str::to_owned);
    rows.chunk_by(move |a, b| first(&a.id) == first(&b.id))
}

/// The leading path that all names share, with its last slash; `None` when they share none.
pub fn shared_path(rows: &[Row]) -> Option<&str> {
    let (first, rest) = rows.split_first()?;
    let first = first.id.as_str();
    let mut shared = first.rfind('/').map_or(0, |slash| slash + 1);
    for row in rest {
        while !row.id.as_str().starts_with(&first[..shared]) {
            shared = first[..shared.saturating_sub(1)].rfind('/').map_or(0, |slash| slash + 1);
        }
    }
    (shared > 0).then_some(&first[..shared])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn rows(names: &[&str]) -> Vec<Row> {
        names.iter().map(|name| Row::new(&fixture::ok(name, 1.0))).collect()
    }

    #[test]
    fn families_keep_what_tells_their_members_apart() {
        let rows = rows(&["gemm/cpu/bf16/m1", "gemm/cpu/bf16/m1n2", "gemm/cpu/int8/m1", "peak/x"]);
        let families: Vec<_> = families(&rows).collect();
        assert_eq!(families.len(), 2);
        assert_eq!(shared_path(families[0]), Some("gemm/cpu/"));
        assert_eq!(shared_path(&families[0][..2]), Some("gemm/cpu/bf16/"));
        assert_eq!(shared_path(&self::rows(&["a", "b"])), None);
        assert_eq!(shared_path(&self::rows(&["", ""])), None);
    }
}
