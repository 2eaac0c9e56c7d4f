//! What a host's own noise is: how far repeated runs of one setting lie apart, metric by metric.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::estimate::Spread;
use super::group::Group;
use crate::record::MetricId;

/// Version of the file's schema.
pub const SCHEMA: u32 = 1;

/// Spreads of one metric's logarithm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Between boots (of each boot's mean over processes); absent from runs of one boot.
    pub boots: Option<Spread>,
    /// Between processes of one boot; absent where each boot has one.
    pub processes: Option<Spread>,
}

/// The noise of a host, as learned from runs of one setting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The runs that it was learned from.
    pub runs: Vec<String>,
    /// By metric.
    pub metrics: BTreeMap<MetricId, Floor>,
}

impl NoiseFloor {
    /// Learns the noise from a group of runs of one setting.
    pub fn learn(group: &Group) -> Self {
        let (usable, _) = group.observations();
        let mut metrics = BTreeMap::new();
        for (id, observations) in usable {
            let mut boots: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            for observation in &observations {
                boots.entry(observation.boot).or_default().extend(observation.log());
            }
            let processes: Vec<Vec<f64>> = boots.into_values().collect();
            let means = processes.iter().map(|p| p.iter().sum::<f64>() / p.len() as f64).collect();
            let floor =
                Floor { boots: Spread::within(&[means]), processes: Spread::within(&processes) };
            if floor != Floor::default() {
                metrics.insert(id.clone(), floor);
            }
        }
        let runs = group.runs.iter().map(|run| run.name.clone()).collect();
        Self { schema: SCHEMA, runs, metrics }
    }
}
