//! Adding up the time of one step by part.

use std::collections::BTreeMap;

use super::constants::{Constants, MEASURED_SPREAD};
use super::figure::{Figure, Origin};
use super::projection::{Band, Input, Part, PartTime, Phase, Projection};

/// A part while it is added up.
#[derive(Default)]
struct Sum {
    seconds: f64,
    busy: f64,
    least: f64,
    what: Vec<String>,
    inputs: Vec<Input>,
    origin: Option<Origin>,
}

/// Work of one part: its time at the rate that it attains and at the nominal rate.
#[derive(Debug, Clone, Copy, Default)]
pub struct Busy {
    /// Seconds at the attainable rate.
    pub seconds: f64,
    /// Seconds at the nominal rate: no measurement takes less.
    pub least: f64,
}

/// The step so far.
#[derive(Default)]
pub struct Step {
    parts: BTreeMap<Part, Sum>,
    /// Inputs that are not known.
    pub missing: Vec<String>,
    /// What was assumed.
    pub assumed: Vec<String>,
}

impl Step {
    /// Adds work that nothing hides.
    pub fn add(
        &mut self,
        part: Part,
        what: impl Into<String>,
        busy: Busy,
        inputs: &[(&'static str, &Figure)],
    ) {
        let sum = self.parts.entry(part).or_default();
        sum.seconds += busy.seconds;
        sum.busy += busy.seconds;
        sum.least += busy.least;
        sum.what.push(what.into());
        for (name, figure) in inputs {
            sum.origin = sum.origin.max(Some(figure.origin));
            let input = Input { name, figure: (*figure).clone() };
            if !sum.inputs.contains(&input) {
                sum.inputs.push(input);
            }
        }
    }

    /// Of two that were added last and run at the same time only the longer one counts.
    pub fn overlap(&mut self, (a, a_s): (Part, f64), (b, b_s): (Part, f64)) {
        let hidden = if a_s < b_s { a } else { b };
        if let Some(sum) = self.parts.get_mut(&hidden) {
            sum.seconds = (sum.seconds - a_s.min(b_s)).max(0.0);
        }
    }

    /// The projection of a step of `tokens` tokens.
    pub fn finish(self, constants: &Constants, shape: Shape) -> Projection {
        // Parts whose rates come from elsewhere err together, launches and measured parts on their own.
        let (mut together, mut alone) = ((0.0, 0.0), (0.0, 0.0));
        let (mut parts, mut likely) = (Vec::new(), 0.0);
        for (part, sum) in self.parts {
            let factor = match (sum.origin, part) {
                (Some(Origin::Measured), _) => MEASURED_SPREAD,
                (_, Part::Launch) => constants.launch_spread,
                _ => constants.spread,
            };
            let seconds = Band::around(sum.seconds, factor);
            let (below, above) = (sum.seconds - seconds.low, seconds.high - sum.seconds);
            if factor == constants.spread {
                together = (together.0 + below, together.1 + above);
            } else {
                alone = (alone.0 + below * below, alone.1 + above * above);
            }
            likely += sum.seconds;
            parts.push(PartTime {
                part,
                seconds,
                busy_s: sum.busy,
                least_s: sum.least,
                what: sum.what.join("; "),
                origin: sum.origin.unwrap_or(Origin::Assumed),
                inputs: sum.inputs,
            });
        }
        let joint = |sum: f64, squares: f64| (sum * sum + squares).sqrt();
        let low = (likely - joint(together.0, alone.0)).max(0.0);
        let seconds = Band { low, likely, high: likely + joint(together.1, alone.1) };
        let mut ranked: Vec<&PartTime> = parts.iter().filter(|p| p.seconds.likely > 0.0).collect();
        ranked.sort_by(|a, b| b.seconds.likely.total_cmp(&a.seconds.likely));
        let (first, second) = (ranked.first(), ranked.get(1));
        let gap = first.zip(second).map(|(a, b)| a.seconds.likely / b.seconds.likely);
        let (binding, second) = (first.map(|p| p.part), second.map(|p| p.part));
        let slowest =
            parts.iter().max_by(|a, b| a.least_s.total_cmp(&b.least_s)).filter(|p| p.least_s > 0.0);
        let (bound_tokens_per_second, bound_by) =
            (slowest.map(|p| shape.tokens as f64 / p.least_s), slowest.map(|p| p.part));
        Projection {
            phase: shape.phase,
            tokens: shape.tokens,
            batch: shape.batch,
            context: shape.context,
            tensor_parallel: shape.tensor_parallel,
            tokens_per_second: seconds.rate(shape.tokens as f64),
            seconds,
            binding,
            second,
            gap,
            bound_tokens_per_second,
            bound_by,
            overlap: OVERLAP,
            missing: self.missing,
            assumed: self.assumed,
            parts,
        }
    }
}

/// Which step it is.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Decode or prefill.
    pub phase: Phase,
    /// Tokens that it yields.
    pub tokens: usize,
    /// Sequences.
    pub batch: usize,
    /// Tokens in the cache of each.
    pub context: usize,
    /// GPUs that share every layer.
    pub tensor_parallel: usize,
}

const OVERLAP: &str = "On one device reading and arithmetic overlap: the longer of the two counts. Host and device take turns in \
                       every layer, and crossings and launches are waited for: these add up. The bound lets everything overlap.";
