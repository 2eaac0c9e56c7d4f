//! `hostdyno topology`: sockets, NUMA nodes, caches and devices as a tree or a picture.

use std::path::PathBuf;

use clap::Args;

use super::env::root;
use super::output::Output;
use crate::Result;
use crate::host::Topology;
use crate::report::draw;

/// Whose topology.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A directory that stands for `/`: a copy of another host's /proc and /sys
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print an SVG picture instead: hostdyno topology --svg > topology.svg
    #[arg(long, conflicts_with = "json")]
    svg: bool,
}

/// Shows the topology.
///
/// # Errors
/// The root is not a directory.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let root = root(arguments.root.as_deref())?;
    let topology = if root.is_host() { Topology::discover() } else { Topology::from_sysfs(&root) };
    output.print("topology", &topology, |_, topology| {
        if arguments.svg { draw::topology(topology) } else { topology.tree() }
    })
}
