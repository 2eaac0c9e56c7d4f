//! A host that one does not have, from a TOML file written by hand.
//!
//! ```toml
//! name = "Threadripper PRO 7965WX, RTX A6000"
//! sockets = 1
//! [dram]
//! read_gb_s = { value = 225, origin = "measured", source = "its owner" }
//! capacity_gb = 256
//! [gpu]
//! name = "RTX A6000"
//! vram_read_gb_s = { value = 768, origin = "theoretical" }
//! ```
//!
//! A number alone is `assumed`. Whatever is left out is unknown, not zero.

use serde::Deserialize;

use super::figure::{Figure, Origin};
use super::host::{Dram, ExpertReads, Gpu, Host};
use crate::{Error, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    sockets: Option<usize>,
    #[serde(default)]
    dram: DramTable,
    gpu: Option<GpuTable>,
    #[serde(default)]
    cpu: CpuTable,
    #[serde(default)]
    nvme: NvmeTable,
    experts: Option<ExpertsTable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DramTable {
    /// All sockets together.
    read_gb_s: Option<Number>,
    /// Instead of `read_gb_s`: channels of one socket, and their MT/s.
    channels: Option<u32>,
    mt_s: Option<f64>,
    remote_read_gb_s: Option<Number>,
    interleaved_read_gb_s: Option<Number>,
    /// Instead of both: reads of the cores of one node (row) from the memory of another (column).
    node_matrix_gb_s: Option<Vec<Vec<f64>>>,
    capacity_gb: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GpuTable {
    name: Option<String>,
    count: Option<usize>,
    vram_read_gb_s: Option<Number>,
    vram_gb: Option<Number>,
    bf16_tflops: Option<Number>,
    attention_tflops: Option<Number>,
    pcie_gb_s: Option<Number>,
    peer_gb_s: Option<Number>,
    kernel_us: Option<Number>,
    crossing_us: Option<Number>,
    all_reduce_us: Option<Number>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct CpuTable {
    tflops: Option<Number>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct NvmeTable {
    read_gb_s: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpertsTable {
    eta: Number,
    t_fix_us: Option<Number>,
}

/// `225` or `{ value = 225, origin = "measured", source = "..." }`.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a number, or { value = NUMBER, origin = \"measured\", source = \"...\" } with origin \
                               measured, theoretical, published or assumed"
)]
enum Number {
    Whole(i64),
    Plain(f64),
    Full(Full),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Full {
    value: f64,
    origin: Option<Origin>,
    source: Option<String>,
}

/// No rate or size of a host is larger; what is above is an error of units.
const LARGEST: f64 = 1e9;

/// The host that `text` describes; `path` is for messages.
///
/// # Errors
/// The text is no TOML, a key is not known, or a number makes no sense: the error names the line or the key.
pub fn host(text: &str, path: &str) -> Result<Host> {
    let file: File = ::toml::from_str(text).map_err(|e| {
        Error::input(
            format!("{path} is not a host: {}", e.to_string().trim_end()),
            "Write it like the files in results/reference/hosts, whose README lists every key",
        )
    })?;
    let check = Check { path };
    let sockets = file.sockets.unwrap_or(1);
    if !(1..=64).contains(&sockets) {
        return Err(check.refuse("sockets", &format!("{sockets} is not from 1 to 64")));
    }
    let experts = match file.experts {
        None => vec![],
        Some(ExpertsTable { eta, t_fix_us }) => {
            let eta = check.need("experts.eta", eta)?;
            if eta.value > 1.5 {
                let why = format!("{} is no share of the read bandwidth", eta.value);
                return Err(check.refuse("experts.eta", &why));
            }
            let t_fix_us = check.figure("experts.t_fix_us", t_fix_us)?;
            vec![ExpertReads { bits: None, eta, t_fix_us }]
        }
    };
    Ok(Host {
        name: file.name.unwrap_or_else(|| path.to_owned()),
        sockets,
        dram: check.dram(file.dram, sockets)?,
        gpu: file.gpu.map(|gpu| check.gpu(gpu)).transpose()?,
        cpu_tflops: check.figure("cpu.tflops", file.cpu.tflops)?,
        nvme_read: check.figure("nvme.read_gb_s", file.nvme.read_gb_s)?,
        experts,
    })
}

struct Check<'a> {
    path: &'a str,
}

impl Check<'_> {
    fn refuse(&self, key: &str, why: &str) -> Error {
        Error::input(format!("{}: {key}: {why}", self.path), format!("Correct {key} in that file"))
    }

    fn need(&self, key: &str, number: Number) -> Result<Figure> {
        let (value, origin, source) = match number {
            Number::Whole(value) => (value as f64, None, None),
            Number::Plain(value) => (value, None, None),
            Number::Full(Full { value, origin, source }) => (value, origin, source),
        };
        if !(value > 0.0 && value <= LARGEST) {
            return Err(
                self.refuse(key, &format!("{value} is not a number above 0 and up to {LARGEST:e}"))
            );
        }
        let source = source.unwrap_or_else(|| self.path.to_owned());
        Ok(Figure::new(value, origin.unwrap_or(Origin::Assumed), source))
    }

    fn figure(&self, key: &str, number: Option<Number>) -> Result<Option<Figure>> {
        number.map(|number| self.need(key, number)).transpose()
    }

    fn dram(&self, table: DramTable, sockets: usize) -> Result<Dram> {
        let mut read = self.figure("dram.read_gb_s", table.read_gb_s)?;
        let mut remote_read = self.figure("dram.remote_read_gb_s", table.remote_read_gb_s)?;
        let ways = [read.is_some(), table.channels.is_some(), table.node_matrix_gb_s.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            let why = "give one of read_gb_s, channels with mt_s, node_matrix_gb_s";
            return Err(self.refuse("dram", why));
        }
        match (table.channels, table.mt_s) {
            (Some(channels), Some(mt_s))
                if channels > 0 && channels <= 64 && mt_s > 0.0 && mt_s <= 1e6 =>
            {
                // Eight bytes a transfer and channel: JEDEC DDR4 and DDR5, whose channel is two of four bytes.
                let value = f64::from(channels) * sockets as f64 * 8.0 * mt_s / 1000.0;
                let source = format!("{sockets} x {channels} channels x 8 B x {mt_s} MT/s");
                read = Some(Figure::new(value, Origin::Theoretical, source));
            }
            (None, None) => {}
            (Some(_), Some(_)) => {
                return Err(self.refuse("dram.channels", "channels are 1 to 64 and mt_s positive"));
            }
            _ => return Err(self.refuse("dram.channels", "channels and mt_s go together")),
        }
        if let Some(matrix) = table.node_matrix_gb_s {
            let (local, remote) = self.matrix(&matrix, sockets)?;
            let figure = |value| {
                Figure::new(value, Origin::Measured, format!("node matrix of {}", self.path))
            };
            read = Some(figure(local));
            remote_read = remote_read.or(remote.map(figure));
        }
        let capacity = self.figure("dram.capacity_gb", table.capacity_gb)?;
        let interleaved_read =
            self.figure("dram.interleaved_read_gb_s", table.interleaved_read_gb_s)?;
        Ok(Dram { read, remote_read, interleaved_read, capacity, ceiling: None })
    }

    /// Local reads of all nodes, and reads of one socket from the others.
    fn matrix(&self, matrix: &[Vec<f64>], sockets: usize) -> Result<(f64, Option<f64>)> {
        let (key, nodes) = ("dram.node_matrix_gb_s", matrix.len());
        if nodes == 0
            || !nodes.is_multiple_of(sockets)
            || matrix.iter().any(|row| row.len() != nodes)
        {
            let why = format!(
                "it is not square, or its {nodes} nodes don't divide into {sockets} sockets"
            );
            return Err(self.refuse(key, &why));
        }
        if matrix.iter().flatten().any(|rate| !(*rate > 0.0 && *rate <= LARGEST)) {
            return Err(self.refuse(key, "every rate must be a positive number"));
        }
        let local = (0..nodes).map(|node| matrix[node][node]).sum();
        let socket = |node: usize| node / (nodes / sockets);
        let mut remote = Vec::new();
        for (row, from) in matrix.iter().zip(0..) {
            remote.extend((0..nodes).filter(|to| socket(*to) != socket(from)).map(|to| row[to]));
        }
        // The mean over pairs is what one node gets; the nodes of a socket read at the same time.
        let mean = remote.iter().sum::<f64>() / remote.len().max(1) as f64;
        Ok((local, (!remote.is_empty()).then_some(mean * (nodes / sockets) as f64)))
    }

    fn gpu(&self, table: GpuTable) -> Result<Gpu> {
        let count = table.count.unwrap_or(1);
        if !(1..=1024).contains(&count) {
            let why = format!("{count} is not from 1 to 1024; leave [gpu] out where there is none");
            return Err(self.refuse("gpu.count", &why));
        }
        Ok(Gpu {
            name: table.name.unwrap_or_else(|| "GPU".into()),
            count,
            vram_read: self.figure("gpu.vram_read_gb_s", table.vram_read_gb_s)?,
            capacity: self.figure("gpu.vram_gb", table.vram_gb)?,
            tflops: self.figure("gpu.bf16_tflops", table.bf16_tflops)?,
            attention_tflops: self.figure("gpu.attention_tflops", table.attention_tflops)?,
            pcie: self.figure("gpu.pcie_gb_s", table.pcie_gb_s)?,
            peer: self.figure("gpu.peer_gb_s", table.peer_gb_s)?,
            kernel_us: self.figure("gpu.kernel_us", table.kernel_us)?,
            empty_kernel_us: None,
            crossing_us: self.figure("gpu.crossing_us", table.crossing_us)?,
            all_reduce_us: self.figure("gpu.all_reduce_us", table.all_reduce_us)?,
        })
    }
}
