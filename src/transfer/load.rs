//! What the CPU takes of the memory's bandwidth while a device copies: every core reads DRAM, as decode does with experts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::host::Workers;
use crate::memory::{Injectors, SLICE};

/// All cores, each reading its own slice of DRAM, where it touched it first.
pub struct CpuLoad {
    workers: Workers,
    injectors: Injectors,
    /// Bytes that they read, and in which time.
    read: Cell<(u64, Duration)>,
}

impl CpuLoad {
    /// Prepares the load.
    ///
    /// # Errors
    /// When threads can't be pinned or memory is short.
    pub fn new() -> Result<Self> {
        let workers = Workers::new()?;
        let injectors = Injectors::new(&workers, 0, SLICE)?;
        Ok(Self { workers, injectors, read: Cell::default() })
    }

    /// Calls `measured` while the cores read.
    pub fn beside<T>(&self, measured: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = self.injectors.beside(&self.workers, measured);
        let (bytes, time) = self.read.get();
        self.read.set((bytes + self.injectors.take_bytes(), time + start.elapsed()));
        result
    }

    /// How much the cores read meanwhile.
    pub fn details(&self) -> BTreeMap<String, Value> {
        let (bytes, time) = self.read.get();
        let mut details =
            BTreeMap::from([("injectors".to_owned(), Value::from(self.injectors.count()))]);
        if !time.is_zero() {
            let rate = bytes as f64 / time.as_secs_f64() / 1e9;
            details.insert("injected_gb_per_second".into(), rate.into());
        }
        details
    }
}
