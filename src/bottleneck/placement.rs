//! Where weights and cache go: experts in VRAM, DRAM or on disk, by what fits.

use serde::{Deserialize, Serialize};

use super::host::Host;
use crate::number::Format;
use crate::workload::{Class, Mix, Model};

/// Where the user wants the routed experts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Where {
    /// As many as fit in VRAM, then in DRAM, the rest on disk.
    #[default]
    Auto,
    /// All in VRAM.
    Vram,
    /// All in DRAM.
    Dram,
    /// All on disk.
    Nvme,
}

/// GB that each GPU needs besides weights and cache: context, buffers, activations. Assumed.
const WORKSPACE_GB: f64 = 2.0;
/// GB that the system needs besides the model. Assumed.
const SYSTEM_GB: f64 = 8.0;

/// What lies where. Sizes in GB.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Placement {
    /// Share of the routed experts in VRAM.
    pub vram: f64,
    /// In DRAM.
    pub dram: f64,
    /// On disk.
    pub nvme: f64,
    /// Whether everything else is in VRAM; in DRAM otherwise.
    pub other_in_vram: bool,
    /// GB of routed experts.
    pub routed_gb: f64,
    /// GB of all other weights.
    pub other_gb: f64,
    /// GB of the cache of all sequences.
    pub kv_gb: f64,
    /// GB needed in VRAM, workspace included, and what all GPUs have.
    pub vram_gb: (f64, Option<f64>),
    /// GB needed in DRAM, the system included, and what there is.
    pub dram_gb: (f64, Option<f64>),
    /// Why it can't be, where it can't.
    pub does_not_fit: Option<String>,
    /// What was taken for granted.
    pub assumed: Vec<String>,
}

/// What is placed.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// The model.
    pub model: &'a Model,
    /// How it is stored.
    pub mix: &'a Mix,
    /// How the cache is stored.
    pub kv: Format,
    /// Sequences.
    pub batch: usize,
    /// Tokens of each.
    pub context: usize,
    /// Copies of what is in DRAM.
    pub copies: usize,
    /// Where the user wants the routed experts.
    pub routed: Where,
}

impl Placement {
    /// Places `load` on `host`.
    pub fn new(host: &Host, load: &Load<'_>) -> Self {
        let routed_gb = load.model.stored_bytes(Class::RoutedExperts, load.mix) / 1e9;
        let other_gb = load.model.all_bytes(load.mix) / 1e9 - routed_gb;
        let kv_gb = load.model.kv_bytes(load.kv, load.context) * load.batch as f64 / 1e9;
        let gpus = host.gpu.as_ref().map_or(0, |gpu| gpu.count);
        let vram = host.gpu.as_ref().and_then(|gpu| gpu.capacity.as_ref());
        let vram = vram.map(|one| one.value * gpus as f64);
        let ram = host.dram.capacity.as_ref().map(|figure| figure.value);
        let workspace = WORKSPACE_GB * gpus as f64;
        let mut place = Self {
            vram: 0.0,
            dram: 0.0,
            nvme: 0.0,
            other_in_vram: gpus > 0,
            routed_gb,
            other_gb,
            kv_gb,
            vram_gb: (0.0, vram),
            dram_gb: (0.0, ram),
            does_not_fit: None,
            assumed: vec![],
        };
        let core = if gpus > 0 { other_gb + kv_gb + workspace } else { 0.0 };
        let copies = load.copies as f64;
        let room = |have: f64, used: f64| ((have - used) / routed_gb.max(1e-9)).clamp(0.0, 1.0);
        let ram_used = SYSTEM_GB + if gpus > 0 { 0.0 } else { copies * other_gb + kv_gb };
        match load.routed {
            _ if routed_gb == 0.0 => {}
            Where::Vram => place.vram = 1.0,
            Where::Dram => place.dram = 1.0,
            Where::Nvme => place.nvme = 1.0,
            Where::Auto => {
                place.vram = if gpus > 0 { vram.map_or(0.0, |have| room(have, core)) } else { 0.0 };
                let rest = 1.0 - place.vram;
                place.dram = ram.map_or(rest, |have| rest.min(room(have, ram_used) / copies));
                place.nvme = rest - place.dram;
                if gpus > 0 && vram.is_none() {
                    place.assumed.push("gpu.vram_gb is unknown: all routed experts in DRAM".into());
                }
                if ram.is_none() {
                    place
                        .assumed
                        .push("dram.capacity_gb is unknown: the experts are taken to fit".into());
                }
            }
        }
        place.vram_gb.0 = core + place.vram * routed_gb;
        place.dram_gb.0 = ram_used + place.dram * routed_gb * copies;
        if place.vram > 0.0 && gpus == 0 {
            place.does_not_fit = Some("experts in VRAM need a GPU".into());
        }
        for (what, (needs, has)) in [("VRAM", place.vram_gb), ("DRAM", place.dram_gb)] {
            // What fills memory to the last byte is computed from its size: leave room for rounding.
            if let Some(has) = has.filter(|has| needs > has * (1.0 + 1e-9)) {
                let why = format!("{what}: {needs:.1} GB needed, {has:.1} GB there");
                place.does_not_fit.get_or_insert(why);
            }
        }
        place
    }

    /// The longest context, in tokens up to the model's, at which everything but routed experts still fits in VRAM (in
    /// DRAM without a GPU) for `load`'s batch; `None` where the size is unknown.
    pub fn longest_context(host: &Host, load: &Load<'_>) -> Option<usize> {
        let fits =
            |context: usize| Self::new(host, &Load { context, ..*load }).does_not_fit.is_none();
        Self::size(host)?;
        Some(largest(load.model.context, fits))
    }

    /// The most sequences of `load`'s context that fit; `None` where the size is unknown.
    pub fn largest_batch(host: &Host, load: &Load<'_>) -> Option<usize> {
        const MOST: usize = 1 << 16;
        let fits = |batch: usize| Self::new(host, &Load { batch, ..*load }).does_not_fit.is_none();
        Self::size(host)?;
        Some(largest(MOST, fits))
    }

    fn size(host: &Host) -> Option<f64> {
        match &host.gpu {
            Some(gpu) => gpu.capacity.as_ref().map(|figure| figure.value),
            None => host.dram.capacity.as_ref().map(|figure| figure.value),
        }
    }
}

/// The largest number up to `most` that `fits`; 0 when not even 1 does.
fn largest(most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut good, mut bad) = (0, most + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) { good = middle } else { bad = middle }
    }
    good
}
