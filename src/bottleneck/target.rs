//! What it takes to reach a number of tokens a second: what each part would have to do, and which single change gets
//! there.

use serde::Serialize;

use super::constants::Constants;
use super::decode::decode;
use super::figure::{Figure, Origin};
use super::host::Host;
use super::policy::Policy;
use super::projection::{Band, Part, Projection};
use super::sweep::{FORMATS, mean_bits, with_gpus};
use super::{Placement, Setup};
use crate::workload::{Mix, Model};

/// The answer to `--target`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Target {
    /// Tokens a second of all sequences.
    pub tokens_per_second: f64,
    /// Whether the likely value reaches it.
    pub reached: bool,
    /// Whether even the low end does.
    pub reached_surely: bool,
    /// Whether no software can reach it here: it is above the bound.
    pub above_bound: bool,
    /// What each part would have to do if all others stay as they are.
    pub parts: Vec<Required>,
    /// Changes of one thing, the best first.
    pub changes: Vec<Change>,
}

/// What a part would have to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Required {
    /// Which.
    pub part: Part,
    /// Seconds now.
    pub seconds: f64,
    /// Seconds that the target leaves it; absent where the others alone take too long.
    pub allowed: Option<f64>,
    /// So many times faster.
    pub factor: Option<f64>,
    /// The input that would have to grow by it, and to what.
    pub input: Option<(&'static str, f64, f64)>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What is changed.
    pub what: String,
    /// What comes of it.
    pub tokens_per_second: Band,
    /// Whether the likely value reaches the target.
    pub reaches: bool,
    /// The part that binds then.
    pub binding: Option<Part>,
}

/// What `tokens_per_second` takes, from the projection `now`.
pub fn target(
    tokens_per_second: f64,
    now: &Projection,
    (model, mix): (&Model, &Mix),
    (host, setup): (&Host, &Setup),
    constants: &Constants,
) -> Target {
    let allowed = now.tokens as f64 / tokens_per_second;
    let parts = now
        .parts
        .iter()
        .map(|time| {
            let others = now.seconds.likely - time.seconds.likely;
            let allowed = Some(allowed - others).filter(|s| *s > 0.0);
            let factor = allowed.map(|s| time.seconds.likely / s).filter(|f| *f > 1.0);
            let input = time.inputs.first().filter(|input| rate(input.name));
            let input = factor.zip(input).map(|(factor, input)| {
                (input.name, input.figure.value, input.figure.value * factor)
            });
            Required { part: time.part, seconds: time.seconds.likely, allowed, factor, input }
        })
        .collect();
    let mut changes = Vec::new();
    let mut propose = |what: String, mix: &Mix, host: &Host, setup: &Setup| {
        let place = Placement::new(host, &setup.load(model, mix, host));
        if place.does_not_fit.is_none() {
            let then = decode(model, mix, host, setup, constants);
            changes.push(Change {
                what,
                reaches: then.tokens_per_second.likely >= tokens_per_second,
                tokens_per_second: then.tokens_per_second,
                binding: then.binding,
            });
        }
    };
    if let Some(read) = &host.dram.read
        && now.part(Part::Dram).is_some()
    {
        for factor in [1.25, 1.5, 2.0] {
            let mut faster = host.clone();
            faster.dram.read = Some(Figure { value: read.value * factor, ..read.clone() });
            let what = format!(
                "DRAM that reads {:.0} GB/s instead of {:.0}",
                read.value * factor,
                read.value
            );
            propose(what, mix, &faster, setup);
        }
        if let Some(ceiling) = host.dram.ceiling.as_ref().filter(|c| c.value > read.value * 1.02) {
            let mut whole = host.clone();
            let source = format!("all of {}", ceiling.source);
            whole.dram.read = Some(Figure::new(ceiling.value, Origin::Theoretical, source));
            let what = format!(
                "all of this DRAM's {:.0} GB/s (nodes per socket, interleaving, faster DIMMs)",
                ceiling.value
            );
            propose(what, mix, &whole, setup);
        }
    }
    for policy in Policy::ALL.into_iter().filter(|p| host.sockets > 1 && *p != setup.policy) {
        propose(
            format!("experts placed {}", policy.name()),
            mix,
            host,
            &Setup { policy, ..*setup },
        );
    }
    let bits = mean_bits(model, mix);
    for other in FORMATS.iter().filter_map(|name| Mix::parse(name, model).ok()) {
        let of = mean_bits(model, &other);
        if of < bits - 0.1 {
            propose(format!("{} ({of:.2} bits a weight)", other.name), &other, host, setup);
        }
    }
    if let Some(gpu) = &host.gpu {
        let more = with_gpus(host, gpu.count + 1);
        if gpu.capacity.is_some() && model.experts.is_some() {
            let what = format!("{} GPUs, by layers, with more experts in VRAM", gpu.count + 1);
            propose(what, mix, &more, setup);
        }
        let ranks = setup.tensor_parallel * 2;
        let what = format!("tensor parallel over {ranks} GPUs");
        propose(what, mix, &with_gpus(host, ranks), &Setup { tensor_parallel: ranks, ..*setup });
    }
    changes.sort_by(|a, b| b.tokens_per_second.likely.total_cmp(&a.tokens_per_second.likely));
    Target {
        tokens_per_second,
        reached: now.tokens_per_second.likely >= tokens_per_second,
        reached_surely: now.tokens_per_second.low >= tokens_per_second,
        above_bound: now.bound_tokens_per_second.is_some_and(|bound| bound < tokens_per_second),
        parts,
        changes,
    }
}

/// Whether more of the input makes the part faster.
fn rate(name: &str) -> bool {
    name.ends_with("/s")
}
