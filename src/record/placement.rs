//! From what the kernel told about threads and pages to what a record keeps of it.

use super::Placement;
use crate::host::{Buffer, Census, Workers};

impl Placement {
    /// Where `workers` ran so far, and where the pages of `buffers` are now.
    pub fn of<'a>(workers: &Workers, buffers: impl IntoIterator<Item = &'a Buffer>) -> Self {
        let mut census = Census::default();
        for buffer in buffers {
            census.merge(&buffer.census());
        }
        Self::new(workers.cpus_seen(), &census)
    }

    /// Threads seen on `cpus`, pages where `census` found them.
    pub fn new(cpus: Vec<usize>, census: &Census) -> Self {
        let mut pages_by_node: std::collections::BTreeMap<String, u64> =
            census.by_node.iter().map(|(node, &pages)| (node.to_string(), pages)).collect();
        if census.untouched > 0 {
            pages_by_node.insert("untouched".into(), census.untouched);
        }
        Self { cpus, pages_by_node, unproved: census.unproved.clone() }
    }
}
