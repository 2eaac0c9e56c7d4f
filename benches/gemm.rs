//! Matrix products `C[M,N] = A[M,K] B[N,K]^T` in four formats, on the CPU and on the first GPU, there beside
//! cuBLASLt's, and with the feature `peers` others' in f32. Where the GPU has no unit for a format, also with weights
//! that are expanded to bf16; on the CPU also over the number of threads.

use std::process::ExitCode;
use std::rc::Rc;

use hostdyno::ceilings::CpuCeilings;
use hostdyno::cpu::GemmSubject;
use hostdyno::cuda::gemm::Numbers;
use hostdyno::cuda::{Gpu, cublaslt, gemm};
use hostdyno::host::Topology;
use hostdyno::measure::threads::Threads;
use hostdyno::measure::{Plan, bench};
use hostdyno::number::Format;
use hostdyno::record::Part;
use hostdyno::workload::{Extent, Gemm, default_gemms, thread_sweeps};

/// Environment variable with the user's own shapes.
const SHAPES: &str = "HOSTDYNO_GEMM";

/// The GPU that is measured.
const GPU: usize = 0;

fn main() -> ExitCode {
    bench("gemm", env!("CARGO_BIN_EXE_hostdyno"), |plan: &mut Plan| {
        let asked = std::env::var_os(SHAPES).filter(|text| !text.is_empty());
        let asked = asked.map(|text| Gemm::parse_list(&text.to_string_lossy())).transpose()?;
        let defaults = default_gemms(plan.extent()).into_iter().map(|named| named.problem);
        let mut shapes: Vec<Gemm> = Vec::new();
        for shape in defaults.chain(asked.into_iter().flatten()) {
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        let cpu = CpuCeilings::new()?;
        let gpu = Gpu::open(GPU);
        for shape in shapes {
            for format in Format::MAIN {
                let cpu = cpu.clone();
                let id = GemmSubject::metric_id(shape, format);
                plan.add(id, Part::Compute, GemmSubject::unit_of(shape, format), move || {
                    let (workers, ceilings) = (cpu.workers().clone(), cpu.of(format)?);
                    GemmSubject::new(shape, format, cpu.isa(), workers, ceilings, rand::random())
                });
                let id = gemm::GemmSubject::metric_id(shape, format, GPU);
                let unit = gemm::GemmSubject::unit_of(shape, format);
                plan.add(id, Part::Compute, unit, move || {
                    gemm::GemmSubject::new(Gpu::open(GPU)?, GPU, shape, format, rand::random())
                });
                let worth =
                    |gpu: &Rc<Gpu>| gemm::worth_expanding(gpu.architecture(), shape, format);
                if !gpu.as_ref().is_ok_and(worth) {
                    continue;
                }
                let product = gemm::Product::WeightOnly(format);
                let id = gemm::GemmSubject::metric_id(shape, product, GPU);
                plan.add(id, Part::Compute, unit, move || {
                    gemm::GemmSubject::new(Gpu::open(GPU)?, GPU, shape, product, rand::random())
                });
            }
            let id = gemm::GemmSubject::metric_id(shape, Numbers::MXFP8, GPU);
            let unit = gemm::GemmSubject::unit_of(shape, Numbers::MXFP8);
            plan.add(id, Part::Compute, unit, move || {
                let (gpu, seed) = (Gpu::open(GPU)?, rand::random());
                gemm::GemmSubject::new(gpu, GPU, shape, Numbers::MXFP8, seed)
            });
            for numbers in cublaslt::FORMATS {
                let id = cublaslt::metric_id(shape, numbers, GPU);
                let unit = cublaslt::unit_of(shape, numbers);
                plan.add(id, Part::Compute, unit, move || {
                    cublaslt::subject(Gpu::open(GPU)?, GPU, shape, numbers, rand::random())
                });
            }
            #[cfg(feature = "peers")]
            for peer in hostdyno::cpu::Peer::ALL {
                use hostdyno::cpu::PeerSubject;
                let cpu = cpu.clone();
                let id = PeerSubject::metric_id(peer, shape);
                plan.add(id, Part::Compute, hostdyno::record::Unit::TeraFlops, move || {
                    let ceiling = Some(cpu.f32()?);
                    PeerSubject::new(peer, shape, cpu.workers().clone(), ceiling, rand::random())
                });
            }
        }
        if plan.extent() >= Extent::Standard {
            let topology = Topology::discover();
            for (shape, format) in thread_sweeps() {
                let (cpu, topology) = (cpu.clone(), topology.clone());
                let id = GemmSubject::threads_id(shape, format);
                plan.add(id, Part::Compute, GemmSubject::unit_of(shape, format), move || {
                    let threads = Threads::of_host(cpu.workers(), &topology)?;
                    let ceilings = cpu.of(format)?;
                    GemmSubject::at_the_knee(shape, format, cpu.isa(), &threads, ceilings)
                });
            }
        }
        Ok(())
    })
}
