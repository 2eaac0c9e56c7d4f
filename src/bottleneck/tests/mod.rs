//! Projections against published measurements and against sums by hand.

mod by_hand;
mod files;
mod points;
mod run;

use super::*;
use crate::bottleneck::host::{Dram, Gpu};

/// 300 GB/s of DRAM, one GPU of 1000 GB/s, everything measured.
fn host() -> Host {
    let figure = |value| Some(Figure::new(value, Origin::Measured, "test"));
    Host {
        name: "test".into(),
        sockets: 1,
        dram: Dram { read: figure(300.0), capacity: figure(512.0), ..Dram::default() },
        gpu: Some(Gpu {
            name: "GPU".into(),
            count: 1,
            vram_read: figure(1000.0),
            capacity: figure(96.0),
            tflops: figure(400.0),
            pcie: figure(50.0),
            kernel_us: figure(2.0),
            crossing_us: figure(8.0),
            ..Gpu::default()
        }),
        ..Host::default()
    }
}
