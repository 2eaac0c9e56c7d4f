//! The kernels of one attention, and the device memory that they work on.

use std::f64::consts::LOG2_E;

use cudarc::driver::sys::CUfunction_attribute as Attribute;
use cudarc::driver::{CudaFunction, CudaSlice, LaunchConfig, PushKernelArg};

use super::latent::merge_threads;
use super::operands::{Operands, Pages};
use super::plan::Plan;
use crate::Result;
use crate::cuda::gpu::{Gpu, driver, launching};
use crate::workload::{Attention, AttentionInputs, Phase};

/// What is launched, with everything it reads and writes.
pub struct Launch {
    pub problem: Attention,
    pub plan: Plan,
    kernel: CudaFunction,
    /// Adds up the splits, where the kernel itself does not.
    merge: Option<CudaFunction>,
    pub copies: Vec<Operands>,
    pub o: CudaSlice<f32>,
    /// Results of splits, their maxima and sums, and one counter a key/value head; decode only.
    partial: CudaSlice<f32>,
    partial_sums: CudaSlice<f32>,
    tickets: CudaSlice<u32>,
    /// Where the pages of the cache lie, the same in all copies; one that is not read where it has none.
    pages: CudaSlice<i32>,
}

impl Launch {
    /// Loads the kernels, uploads `copies` of `inputs` and allocates what is written.
    ///
    /// # Errors
    /// When a kernel does not compile or the device has no memory for it.
    pub fn new(
        gpu: &Gpu,
        problem: Attention,
        plan: Plan,
        inputs: AttentionInputs<'_>,
        copies: usize,
        seed: u64,
    ) -> Result<Self> {
        let kernel = gpu.load(plan.build.clone())?;
        kernel
            .set_attribute(
                Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                plan.shared_bytes as i32,
            )
            .map_err(|e| launching("give a kernel its shared memory", e))?;
        let merge = plan.merge.clone().map(|build| gpu.load(build)).transpose()?;
        let pages = plan.page.map(|keys| Pages::shuffled(keys, plan.stride, seed));
        let copies = (0..copies)
            .map(|_| Operands::upload(gpu, &problem, inputs, &plan, pages.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let rows = problem.heads * problem.queries;
        let parts = match problem.phase {
            Phase::Decode => rows * plan.splits(),
            Phase::Prefill => 1,
        };
        let floats = |count: usize| {
            gpu.stream().alloc_zeros::<f32>(count).map_err(|e| driver("allocate an output", e))
        };
        Ok(Self {
            o: floats(rows * problem.v_dim)?,
            partial: floats(parts * problem.v_dim)?,
            partial_sums: floats(parts * 2)?,
            tickets: gpu
                .stream()
                .alloc_zeros(problem.kv_heads)
                .map_err(|e| driver("allocate counters", e))?,
            pages: gpu
                .stream()
                .clone_htod(pages.as_ref().map_or(&[0][..], |pages| &pages.table))
                .map_err(|e| driver("upload a table of pages", e))?,
            problem,
            plan,
            kernel,
            merge,
            copies,
        })
    }

    /// Queues one attention on copy `index`.
    ///
    /// # Errors
    /// When the driver refuses a launch.
    pub fn enqueue(&mut self, gpu: &Gpu, index: usize) -> Result<()> {
        let Self { problem, plan, kernel, merge, copies, o, partial, partial_sums, .. } = self;
        let (tickets, pages) = (&mut self.tickets, &self.pages);
        let Operands { q, k, v } = &copies[index];
        let factor = (LOG2_E / (problem.scale_dim as f64).sqrt()) as f32;
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let (queries, keys, stride) =
            (number(problem.queries), number(problem.keys), number(plan.stride));
        let (heads, splits) = (number(problem.heads), number(plan.splits()));
        let group = number(problem.heads / problem.kv_heads);
        let config = LaunchConfig {
            grid_dim: (plan.grid.0, plan.grid.1, 1),
            block_dim: (plan.threads, 1, 1),
            shared_mem_bytes: plan.shared_bytes,
        };
        let mut launch = gpu.stream().launch_builder(kernel);
        launch.arg(&q.codes).arg(&q.scales).arg(&k.codes).arg(&k.scales);
        match (problem.phase, v) {
            (Phase::Decode, None) => launch
                .arg(pages)
                .arg(&mut *partial)
                .arg(&mut *partial_sums)
                .arg(&heads)
                .arg(&keys)
                .arg(&factor),
            (Phase::Decode, Some(v)) => launch
                .arg(&v.codes)
                .arg(&v.scales)
                .arg(pages)
                .arg(&mut *o)
                .arg(&mut *partial)
                .arg(&mut *partial_sums)
                .arg(tickets)
                .arg(&keys)
                .arg(&stride)
                .arg(&factor),
            (Phase::Prefill, v) => launch
                .arg(&v.as_ref().unwrap_or(k).codes)
                .arg(&v.as_ref().unwrap_or(k).scales)
                .arg(&mut *o)
                .arg(&queries)
                .arg(&keys)
                .arg(&stride)
                .arg(&group)
                .arg(&factor),
        };
        // SAFETY: the arguments are those of the kernel's file, sized by the problem and the plan.
        unsafe { launch.launch(config) }.map_err(|e| launching("launch an attention", e))?;
        if let Some(merge) = merge {
            let config = LaunchConfig {
                grid_dim: (problem.heads as u32, 1, 1),
                block_dim: (merge_threads(problem.v_dim), 1, 1),
                shared_mem_bytes: 0,
            };
            let mut launch = gpu.stream().launch_builder(merge);
            launch.arg(&*partial).arg(&*partial_sums).arg(o).arg(&splits);
            // SAFETY: as above.
            unsafe { launch.launch(config) }.map_err(|e| launching("launch a merge", e))?;
        }
        Ok(())
    }

    /// Everything that the kernels write becomes NaN.
    ///
    /// # Errors
    /// When the driver refuses a copy.
    pub fn poison(&mut self, gpu: &Gpu) -> Result<()> {
        for slice in [&mut self.o, &mut self.partial, &mut self.partial_sums] {
            let poison = vec![f32::NAN; slice.len()];
            gpu.stream().memcpy_htod(&poison, slice).map_err(|e| driver("poison an output", e))?;
        }
        Ok(())
    }
}
