//! Runs a hand-written kernel on the machine.
#![allow(dead_code, reason = "each test binary uses its part")]

use emulator::machine::{Counters, Fault, GlobalMemory, Hooks, Image, LaunchConfig, launch};
use emulator::ptx::Module;

/// Line of an [`entry`] on which the body starts.
pub const LINE_OF_CODE: u32 = 5;
/// Bytes of the output buffer.
const OUT_BYTES: u64 = 4096;

/// How to launch.
#[derive(Clone)]
pub struct Kernel {
    pub grid: u32,
    pub block: u32,
    pub cluster: u32,
    pub dynamic_shared: u32,
    pub seed: u64,
    pub step_limit: u64,
    /// Words behind a second pointer parameter.
    pub input: Option<Vec<u32>>,
}

impl Default for Kernel {
    fn default() -> Self {
        let step_limit = 1_000_000;
        Self { grid: 1, block: 1, cluster: 1, dynamic_shared: 0, seed: 0, step_limit, input: None }
    }
}

/// A module with one entry `k`.
pub fn entry(target: &str, params: &str, body: &str) -> String {
    format!(
        ".version 8.8\n.target {target}\n.address_size 64\n.visible .entry k({params}) {{\n{body}\n}}\n"
    )
}

/// Launches and returns the output buffer and the counters.
pub fn launched(text: &str, kernel: &Kernel) -> Result<(Vec<u8>, Counters), Fault> {
    let mut memory = GlobalMemory::new(1 << 30);
    let module = Module::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let image = Image::load(module, &mut memory).unwrap();
    let out = memory.allocate(OUT_BYTES).unwrap();
    memory.fill(out, OUT_BYTES, 0).unwrap();
    let mut params = out.to_le_bytes().to_vec();
    if let Some(words) = &kernel.input {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let address = memory.allocate(bytes.len() as u64).unwrap();
        memory.write(address, &bytes).unwrap();
        params.extend(address.to_le_bytes());
    }
    let config = LaunchConfig {
        grid: [kernel.grid, 1, 1],
        block: [kernel.block, 1, 1],
        cluster: [kernel.cluster, 1, 1],
        dynamic_shared: kernel.dynamic_shared,
        seed: kernel.seed,
        step_limit: kernel.step_limit,
    };
    let function = image.module.function("k").unwrap();
    let counters = launch(&image, function, &config, &params, &mut memory, &Hooks::default())?;
    Ok((memory.slice(out, OUT_BYTES).unwrap().to_vec(), counters))
}

/// Launches and returns the output buffer.
pub fn run(text: &str, kernel: &Kernel) -> Result<Vec<u8>, Fault> {
    launched(text, kernel).map(|(out, _)| out)
}

/// Launches and returns the fault that must come.
pub fn fault(text: &str, kernel: &Kernel) -> Fault {
    match run(text, kernel) {
        Ok(_) => panic!("no fault from\n{text}"),
        Err(fault) => fault,
    }
}

/// Bytes as 32-bit words.
pub fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
