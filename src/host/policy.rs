//! Which node each page of a buffer belongs on, and the proof that it is there.
//!
//! A policy is carried out strictly and before the first touch, or not at all: where the kernel or a container denies
//! it, the buffer is refused. What was asked for is proved by asking the kernel where the pages are.

use std::ops::Range;

use super::buffer::Buffer;
use super::pages::Census;
use crate::{Error, Result};

/// `mbind`: on these nodes or not at all; page by page in turn over these nodes (linux/mempolicy.h).
const MPOL_BIND: u32 = 2;
const MPOL_INTERLEAVE: u32 = 3;
/// `mbind`: fail when a page is elsewhere already (linux/mempolicy.h).
const MPOL_MF_STRICT: u32 = 1;
/// How far a node's share of interleaved pages may be from an equal one: half. Interleaving goes by whole huge pages where
/// there are any, and by small ones where there are none.
const SHARE_TOLERANCE: f64 = 0.5;

/// Where the pages of a buffer go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// To the node of the thread that touches them first: the kernel's default.
    FirstTouch,
    /// All to one node, by the operating system's index.
    Node(usize),
    /// In turn to each of these nodes.
    Interleaved(Vec<usize>),
    /// Each range of bytes to its node; ranges follow each other and begin at multiples of the page kind's granule.
    Parts(Vec<(Range<usize>, usize)>),
}

impl Policy {
    /// The one node that everything goes to.
    pub fn node(&self) -> Option<usize> {
        match self {
            Self::Node(node) => Some(*node),
            _ => None,
        }
    }

    /// Whether the kernel has to be told before the first touch.
    pub fn binds(&self) -> bool {
        *self != Self::FirstTouch
    }

    /// Bytes of a buffer of `length` bytes that each node has to give; nothing where the policy leaves it open.
    pub fn needs(&self, length: u64) -> Vec<(usize, u64)> {
        match self {
            Self::FirstTouch => Vec::new(),
            Self::Node(node) => vec![(*node, length)],
            Self::Interleaved(nodes) => {
                let share = length.div_ceil(nodes.len().max(1) as u64);
                nodes.iter().map(|&node| (node, share)).collect()
            }
            Self::Parts(parts) => {
                let mut needs = std::collections::BTreeMap::new();
                for (range, node) in parts {
                    *needs.entry(*node).or_default() += range.len() as u64;
                }
                needs.into_iter().collect()
            }
        }
    }

    /// Binds `length` bytes at `start`, a mapping that nobody has touched.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the kernel or a sandbox denies it.
    pub(super) fn bind(&self, start: *const u8, length: usize) -> Result<()> {
        match self {
            Self::FirstTouch => Ok(()),
            Self::Node(node) => mbind(start, length, MPOL_BIND, &[*node]),
            Self::Interleaved(nodes) => mbind(start, length, MPOL_INTERLEAVE, nodes),
            Self::Parts(parts) => {
                parts.iter().enumerate().try_for_each(|(index, (range, node))| {
                    // The last part has what the mapping was rounded up by.
                    let end = if index + 1 == parts.len() { length } else { range.end };
                    let bytes = end.saturating_sub(range.start);
                    if bytes == 0 {
                        return Ok(());
                    }
                    mbind(start.wrapping_add(range.start), bytes, MPOL_BIND, &[*node])
                })
            }
        }
    }

    /// Proves that every touched page of `buffer` is where this policy puts it.
    ///
    /// # Errors
    /// [`Error::Wrong`] when a page is elsewhere, [`Error::Unavailable`] when the kernel does not tell.
    pub fn prove(&self, buffer: &Buffer) -> Result<()> {
        match self {
            Self::FirstTouch => Ok(()),
            Self::Node(node) => buffer.census().prove(&[*node]),
            Self::Interleaved(nodes) => {
                let census = buffer.census();
                census.prove(nodes)?;
                evenly(&census, nodes, buffer.len() / buffer.pages().granule())
            }
            Self::Parts(parts) => parts.iter().try_for_each(|(range, node)| {
                let end = range.end.min(buffer.len());
                if range.start >= end {
                    return Ok(());
                }
                let start = buffer.as_ptr().wrapping_add(range.start);
                Census::take(start, end - range.start).prove(&[*node])
            }),
        }
    }
}

/// Each node has its share; not asked of fewer than eight huge pages a node, where chance decides.
fn evenly(census: &Census, nodes: &[usize], granules: usize) -> Result<()> {
    let total: u64 = census.by_node.values().sum();
    if nodes.is_empty() || granules < 8 * nodes.len() {
        return Ok(());
    }
    let fair = total as f64 / nodes.len() as f64;
    for node in nodes {
        let have = census.by_node.get(node).copied().unwrap_or(0);
        if (have as f64 - fair).abs() > SHARE_TOLERANCE * fair {
            return Err(Error::Wrong(format!(
                "interleaved pages are not spread evenly: node {node} has {have} of {total}"
            )));
        }
    }
    Ok(())
}

fn mbind(start: *const u8, length: usize, mode: u32, nodes: &[usize]) -> Result<()> {
    let Some(&last) = nodes.iter().max() else {
        return Err(Error::Unavailable("binding denied: no node to bind to".into()));
    };
    let mut mask = vec![0u64; last / 64 + 1];
    for node in nodes {
        mask[node / 64] |= 1 << (node % 64);
    }
    // SAFETY: the range is the caller's mapping, and `mask` has as many bits as are announced (the kernel reads one less).
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            start,
            length,
            mode,
            mask.as_ptr(),
            mask.len() * 64 + 1,
            MPOL_MF_STRICT,
        )
    };
    if answer == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    let which = match nodes {
        [node] => format!("node {node}"),
        nodes => format!("one of nodes {nodes:?}"),
    };
    Err(Error::Unavailable(match error.raw_os_error() {
        Some(libc::EINVAL) => {
            format!("binding denied: {which} has no memory, or this process may not use it")
        }
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => {
            format!("binding denied: {error} (a container's seccomp filter may forbid mbind)")
        }
        _ => format!("binding denied: {error}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::pages::{HUGE, Pages};
    use super::super::root::Root;
    use super::*;

    #[test]
    fn needs_are_what_each_node_gives() {
        assert_eq!(Policy::FirstTouch.needs(100), []);
        assert_eq!(Policy::Node(3).needs(100), [(3, 100)]);
        assert_eq!(Policy::Interleaved(vec![0, 2, 4]).needs(100), [(0, 34), (2, 34), (4, 34)]);
        let parts = Policy::Parts(vec![(0..10, 1), (10..30, 0), (30..35, 1)]);
        assert_eq!(parts.needs(35), [(0, 20), (1, 15)]);
    }

    #[test]
    fn uneven_shares_are_caught() {
        let census = |counts: &[(usize, u64)]| Census {
            by_node: counts.iter().copied().collect(),
            ..Census::default()
        };
        evenly(&census(&[(0, 500), (1, 600)]), &[0, 1], 64).unwrap();
        assert!(evenly(&census(&[(0, 1000), (1, 100)]), &[0, 1], 64).is_err());
        // A node that gave nothing at all.
        assert!(evenly(&census(&[(0, 1000)]), &[0, 1], 64).is_err());
        evenly(&census(&[(0, 512)]), &[0, 1], 1).unwrap();
    }

    /// On any host: what is bound is where it was bound to, and a wrong claim about it is caught.
    #[test]
    fn every_policy_is_carried_out_and_proved() {
        let nodes = Root::host().list("/sys/devices/system/node/has_memory").unwrap_or_default();
        let Some((&first, &last)) = nodes.first().zip(nodes.last()) else { return };
        let half = 16 * HUGE;
        for policy in [
            Policy::FirstTouch,
            Policy::Node(first),
            Policy::Interleaved(nodes.clone()),
            Policy::Parts(vec![(0..half, first), (half..2 * half, last)]),
        ] {
            let buffer = match Buffer::placed(2 * half, Pages::Transparent, &policy) {
                Ok(buffer) => buffer,
                Err(Error::Unavailable(why)) => {
                    assert!(why.contains("binding denied"), "{why}");
                    return;
                }
                Err(other) => panic!("{other}"),
            };
            policy.prove(&buffer).unwrap();
            if policy.binds() {
                for wrong in [
                    Policy::Node(last + 1),
                    Policy::Interleaved(vec![first, last + 1]),
                    Policy::Parts(vec![(0..half, first), (half..2 * half, last + 1)]),
                ] {
                    let caught = wrong.prove(&buffer);
                    assert!(matches!(caught, Err(Error::Wrong(_))), "{policy:?} {wrong:?}");
                }
            }
        }
    }

    #[test]
    fn nodes_that_do_not_exist_are_denied() {
        for policy in [
            Policy::Interleaved(vec![]),
            Policy::Interleaved(vec![1_000, 1_001]),
            Policy::Parts(vec![(0..HUGE, 1_000)]),
        ] {
            let error = Buffer::placed(HUGE, Pages::Small, &policy).unwrap_err();
            assert!(
                matches!(&error, Error::Unavailable(why) if why.contains("binding denied")),
                "{error}"
            );
        }
    }
}
