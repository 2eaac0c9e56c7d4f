//! Every layout rule as a value, so that one can be broken on purpose.

use super::descriptor::{self, DescriptorFields};
use super::instruction::{self, InstructionFields};
use super::{fragment, matrix, scale, swizzle, tcgen05, tensor_copy, tmem};

/// Where an element of a fragment or a byte of a matrix lies. [`ISA`] is what PTX defines; a
/// mutation test replaces one field and expects the corpus or a unit test to fail.
#[derive(Clone, Copy)]
pub struct Rules {
    /// (row, k) of an element of A; see [`fragment::a`].
    pub fragment_a: fragment::Place,
    /// (k, column) of an element of B; see [`fragment::b`].
    pub fragment_b: fragment::Place,
    /// (row, column) of accumulator element `i` of a lane; see [`fragment::accumulator`].
    pub accumulator: fn(lane: usize, i: usize) -> (usize, usize),
    /// Lane and byte of a block scale of A; see [`scale::place_a`].
    pub scale_a: scale::Place,
    /// Lane and byte of a block scale of B; see [`scale::place_b`].
    pub scale_b: scale::Place,
    /// (row, column) of a 16-bit element that `ldmatrix` gives a lane; see [`matrix::place_b16`].
    pub matrix_b16: fn(lane: usize, element: usize) -> (usize, usize),
    /// (row, column) of a byte that the 16-column `ldmatrix` gives a lane; see
    /// [`matrix::place_m8n16`].
    pub matrix_m8n16: fn(lane: usize, byte: usize) -> (usize, usize),
    /// (row, column) of a byte that `ldmatrix.m16n16.trans` gives a lane; see
    /// [`matrix::place_m16n16`].
    pub matrix_m16n16: fn(lane: usize, register: usize, byte: usize) -> (usize, usize),
    /// The address bits a swizzle mode inverts on a 128-byte line; see [`swizzle::pattern`].
    pub swizzle: fn(swizzle::Swizzle, u32) -> u32,
    /// Fields of `wgmma`'s shared-memory descriptor.
    pub wgmma_descriptor: DescriptorFields,
    /// Fields of `tcgen05`'s shared-memory descriptor.
    pub tcgen05_descriptor: DescriptorFields,
    /// (lane, column) of a register of `tcgen05.ld` and `.st`; see [`tmem::place`].
    pub tensor_memory: fn(tmem::Shape, thread: usize, register: usize) -> (usize, usize),
    /// Fields of `tcgen05.mma`'s instruction descriptor.
    pub instruction: InstructionFields,
    /// Lane of row `row` of D (and of A in Tensor Memory); see [`tcgen05::row_lane`].
    pub row_lane: fn(row: u32, m: u32, base: u32) -> u32,
    /// (lane in the partition, column, byte) of a block scale; see [`tcgen05::scale_place`].
    pub tensor_scale: fn(index: u32, id: u32, block: u32) -> (u32, u32, u32),
    /// Lanes that a row of `tcgen05.cp` goes to; see [`tensor_copy::lanes`].
    pub copy_lanes: fn(tensor_copy::Spread, row: u32) -> [Option<u32>; 4],
    /// How many groups a `wait_group` with this operand leaves in flight (`cp.async`, bulk copies,
    /// `wgmma`): as many as it says.
    pub groups_left: fn(u32) -> u32,
    /// Whether `mbarrier.try_wait.parity` succeeds in a phase: when the phase that runs has the other
    /// parity.
    pub parity_passed: fn(phase: u64, parity: u64) -> bool,
}

/// The rules of PTX ISA 9.0.
pub const ISA: Rules = Rules {
    fragment_a: fragment::a,
    fragment_b: fragment::b,
    accumulator: fragment::accumulator,
    scale_a: scale::place_a,
    scale_b: scale::place_b,
    matrix_b16: matrix::place_b16,
    matrix_m8n16: matrix::place_m8n16,
    matrix_m16n16: matrix::place_m16n16,
    swizzle: swizzle::pattern,
    wgmma_descriptor: descriptor::WGMMA,
    tcgen05_descriptor: descriptor::TCGEN05,
    tensor_memory: tmem::place,
    instruction: instruction::FIELDS,
    row_lane: tcgen05::row_lane,
    tensor_scale: tcgen05::scale_place,
    copy_lanes: tensor_copy::lanes,
    groups_left: |operand| operand,
    parity_passed: |phase, parity| phase & 1 != parity & 1,
};

impl Default for Rules {
    fn default() -> Self {
        ISA
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rules")
    }
}
