//! Attention over a key/value cache in four formats, on the CPU and on the first GPU: decode, there with pages too, and
//! causal prefill; in fp8, where the GPU has no unit for it, and in mxfp4 also with operands that are expanded to bf16.

use std::process::ExitCode;
use std::rc::Rc;

use hostdyno::ceilings::CpuCeilings;
use hostdyno::cpu::AttentionSubject;
use hostdyno::cuda::{Gpu, attention};
use hostdyno::measure::{Plan, bench};
use hostdyno::number::Format;
use hostdyno::record::Part;
use hostdyno::workload::{Phase, default_attentions};

/// Keys a page of a paged cache: servers take 16 to 64.
const PAGE_KEYS: usize = 64;

/// The GPU that is measured.
const GPU: usize = 0;

fn main() -> ExitCode {
    bench("attention", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        let cpu = CpuCeilings::new()?;
        let gpu = Gpu::open(GPU);
        for shape in default_attentions(plan.extent()).into_iter().map(|named| named.problem) {
            for format in Format::MAIN {
                let cpu = cpu.clone();
                let id = AttentionSubject::metric_id(&shape, format);
                let unit = AttentionSubject::unit_of(&shape);
                plan.add(id, Part::Compute, unit, move || {
                    let (workers, ceilings) =
                        (cpu.workers().clone(), cpu.of_attention(&shape, format)?);
                    AttentionSubject::new(
                        shape,
                        format,
                        cpu.isa(),
                        workers,
                        ceilings,
                        rand::random(),
                    )
                });
                let id = attention::AttentionSubject::metric_id(&shape, format, GPU);
                plan.add(id, Part::Compute, unit, move || {
                    let gpu = Gpu::open(GPU)?;
                    attention::AttentionSubject::new(gpu, GPU, shape, format, rand::random())
                });
                let worth = |gpu: &Rc<Gpu>| {
                    attention::Plan::worth_expanding(&shape, format, gpu.architecture())
                };
                if gpu.as_ref().is_ok_and(worth) {
                    let id = attention::AttentionSubject::expanded_metric_id(&shape, format, GPU);
                    plan.add(id, Part::Compute, unit, move || {
                        let (gpu, seed) = (Gpu::open(GPU)?, rand::random());
                        attention::AttentionSubject::expanded(gpu, GPU, shape, format, seed)
                    });
                }
                if shape.phase == Phase::Prefill {
                    continue;
                }
                let id =
                    attention::AttentionSubject::paged_metric_id(&shape, format, GPU, PAGE_KEYS);
                plan.add(id, Part::Compute, unit, move || {
                    let (gpu, seed) = (Gpu::open(GPU)?, rand::random());
                    attention::AttentionSubject::paged(gpu, GPU, shape, format, PAGE_KEYS, seed)
                });
            }
        }
        Ok(())
    })
}
