//! The whole answer for one model on one host: plain data, for the terminal, JSON and plots.

use serde::Serialize;

use super::constants::Constants;
use super::decode::decode;
use super::experts_check::ExpertsChecked;
use super::host::Host;
use super::placement::{Load, Placement, Where};
use super::policy::Policy;
use super::prefill::prefill;
use super::projection::{Band, Input, Part, Projection};
use super::sweep::{Axis, Sweep, sweep, with_gpus};
use super::target::{Target, target};
use super::{Setup, sweep as sweeps};
use crate::workload::{Class, Mix, Model};
use crate::{Error, Result};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The model's name, for people.
    pub name: &'a str,
    /// The model.
    pub model: &'a Model,
    /// How it is stored.
    pub mix: &'a Mix,
    /// The host.
    pub host: &'a Host,
    /// How it is run.
    pub setup: Setup,
    /// Tokens a second to reach.
    pub target: Option<f64>,
    /// What to vary.
    pub sweeps: &'a [Axis],
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// The model.
    pub model: ModelLine,
    /// The host's name.
    pub host: String,
    /// Every figure of the host, with its origin.
    pub inputs: Vec<Input>,
    /// The constants in use.
    pub constants: Constants,
    /// Format of the weights.
    pub format: String,
    /// Format of the cache.
    pub kv_format: &'static str,
    /// Where the experts are on several sockets.
    pub policy: Policy,
    /// What lies where.
    pub placement: Placement,
    /// The longest context that fits with this batch.
    pub longest_context: Option<usize>,
    /// The largest batch that fits with this context.
    pub largest_batch: Option<usize>,
    /// One step of decode.
    pub decode: Projection,
    /// A prompt as long as the context.
    pub prefill: Projection,
    /// Decode under every policy, on a host with several sockets.
    pub policies: Vec<PolicyLine>,
    /// What was asked to be reached.
    pub target: Option<Target>,
    /// What was varied.
    pub sweeps: Vec<Sweep>,
    /// Of a run: layers of experts as measured and as projected from another model's.
    pub experts: Vec<ExpertsChecked>,
}

/// A model in a few figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelLine {
    /// For people.
    pub name: String,
    /// Where the shapes are from.
    pub source: String,
    /// All weights.
    pub parameters: u64,
    /// Weights that one token multiplies with.
    pub active: f64,
    /// GB of all weights in this format.
    pub stored_gb: f64,
    /// GB that one token reads.
    pub read_gb: f64,
    /// Bytes of cache a token.
    pub kv_bytes: f64,
    /// Mean bits a weight.
    pub bits: f64,
    /// Most tokens of a sequence.
    pub context: usize,
}

/// Decode under one policy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyLine {
    /// Which.
    pub policy: Policy,
    /// GB/s of DRAM that it leaves; absent where an input is missing.
    pub dram_gb_s: Option<f64>,
    /// Tokens a second.
    pub tokens_per_second: Option<Band>,
    /// The part that binds.
    pub binding: Option<Part>,
    /// The input that is missing, or why it does not fit.
    pub unknown: Option<String>,
}

impl Analysis {
    /// Answers.
    ///
    /// # Errors
    /// A context beyond the model's, tensor parallel without GPUs, a target that is no positive number, a split that does
    /// not fit, or a host of which nothing is known that decode needs.
    pub fn new(question: &Question<'_>) -> Result<Self> {
        let Question { model, mix, setup, .. } = *question;
        check(question)?;
        let constants = Constants::fitted();
        let host = &with_gpus(question.host, setup.tensor_parallel);
        let load = setup.load(model, mix, host);
        let placement = Placement::new(host, &load);
        if let Some(why) = &placement.does_not_fit {
            return Err(does_not_fit(why, question, host));
        }
        let decode_step = decode(model, mix, host, &setup, constants);
        if decode_step.parts.iter().all(|part| part.seconds.likely == 0.0) {
            return Err(Error::input(
                format!("nothing is known of {} that decode depends on", host.name),
                format!("Give {}", decode_step.missing.join("; ")),
            ));
        }
        let target = question
            .target
            .map(|rate| target(rate, &decode_step, (model, mix), (host, &setup), constants));
        let active = |class: &Class| model.active_parameters(*class);
        Ok(Self {
            model: ModelLine {
                name: question.name.to_owned(),
                source: model.source.to_owned(),
                parameters: model.parameters(),
                active: Class::ALL.iter().map(active).sum(),
                stored_gb: model.all_bytes(mix) / 1e9,
                read_gb: Class::ALL.iter().map(|c| model.bytes_read(*c, mix, 1)).sum::<f64>() / 1e9,
                kv_bytes: model.kv_bytes(setup.kv, 1),
                bits: sweeps::mean_bits(model, mix),
                context: model.context,
            },
            host: host.name.clone(),
            inputs: host.inputs(),
            constants: *constants,
            format: mix.name.clone(),
            kv_format: setup.kv.name(),
            policy: setup.policy,
            longest_context: Placement::longest_context(host, &load),
            largest_batch: Placement::largest_batch(host, &load),
            prefill: prefill(model, mix, host, &setup, constants),
            policies: policies(question, host),
            sweeps: question
                .sweeps
                .iter()
                .map(|axis| sweep(*axis, model, mix, question.host, &setup, constants))
                .collect(),
            placement,
            decode: decode_step,
            target,
            experts: vec![],
        })
    }
}

fn check(question: &Question<'_>) -> Result<()> {
    let Question { model, setup, .. } = question;
    if setup.context > model.context {
        return Err(Error::input(
            format!(
                "a context of {} is beyond the {} tokens of {}",
                setup.context, model.context, question.name
            ),
            format!("Give --context up to {}", model.context),
        ));
    }
    if setup.tensor_parallel > 1 && question.host.gpu.is_none() {
        return Err(Error::input(
            "tensor parallel needs GPUs, and the host has none",
            "Leave --tensor-parallel out",
        ));
    }
    if question.target.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
        return Err(Error::input(
            "the target is not a positive number",
            "Give tokens a second, as in --target 10",
        ));
    }
    Ok(())
}

/// What to change so that it fits.
fn does_not_fit(why: &str, question: &Question<'_>, host: &Host) -> Error {
    let Question { model, mix, setup, name, .. } = *question;
    let load = setup.load(model, mix, host);
    let fits = |mix: &Mix| Placement::new(host, &Load { mix, ..load }).does_not_fit.is_none();
    let mixes = sweeps::FORMATS.iter().filter_map(|name| Mix::parse(name, model).ok());
    let formats: Vec<String> = mixes.filter(fits).map(|mix| mix.name).collect();
    let mut next = Vec::new();
    if setup.routed != Where::Auto {
        next.push("--experts auto splits what does not fit".to_owned());
    }
    if let Some(context) = Placement::longest_context(host, &load).filter(|context| *context > 0) {
        next.push(format!("--context up to {context} fits"));
    }
    if !formats.is_empty() {
        next.push(format!("--format {} would fit", formats.join(" or ")));
    }
    if next.is_empty() {
        next.push("Take a smaller model, fewer sequences or a larger host".into());
    }
    Error::input(
        format!("{name} in {} does not fit on {}: {why}", mix.name, host.name),
        next.join("; "),
    )
}

fn policies(question: &Question<'_>, host: &Host) -> Vec<PolicyLine> {
    if host.sockets == 1 {
        return vec![];
    }
    let Question { model, mix, setup, .. } = *question;
    let active = model.experts.map_or(1, |experts| experts.active);
    Policy::ALL
        .into_iter()
        .map(|policy| {
            let setup = Setup { policy, ..setup };
            let read = policy.read(&host.dram, host.sockets, active);
            let place = Placement::new(host, &setup.load(model, mix, host));
            let step = decode(model, mix, host, &setup, Constants::fitted());
            let known = read.is_ok() && place.does_not_fit.is_none();
            PolicyLine {
                policy,
                dram_gb_s: read.as_ref().ok().map(|figure| figure.value),
                tokens_per_second: known.then_some(step.tokens_per_second),
                binding: step.binding.filter(|_| known),
                unknown: read.err().map(|key| format!("{key} is not known")).or(place.does_not_fit),
            }
        })
        .collect()
}
