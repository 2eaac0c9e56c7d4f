//! What a PTX text declares: functions, their parameters, module-scope variables.

use super::{Code, PtxError};
use crate::tensor::Rules;
use std::sync::Arc;

/// One parsed PTX text.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// `.version major.minor`.
    pub version: (u32, u32),
    /// `.target`, for example `sm_90a`.
    pub target: String,
    /// Entries (`.entry`), in the order of the text.
    pub functions: Vec<Function>,
    /// Module-scope `.global` and `.const` variables. [`crate::machine::Image::load`] gives them addresses.
    pub variables: Vec<Variable>,
    /// The layout rules that its instructions follow.
    pub rules: Rules,
}

impl Module {
    /// Parses a PTX text.
    ///
    /// # Errors
    /// [`PtxError`] for malformed text and for every instruction or qualifier that is not modelled.
    pub fn parse(text: &str) -> Result<Self, PtxError> {
        Self::parse_with(text, &Rules::default())
    }

    /// As [`Self::parse`], with layout rules other than the ISA's: for tests that break one on purpose.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with(text: &str, rules: &Rules) -> Result<Self, PtxError> {
        super::parser::parse(text, rules)
    }

    /// The compute capability that `.target` names, times ten: `sm_90a` is 90. 0 where there is no number.
    #[must_use]
    pub fn target_arch(&self) -> u32 {
        let digits: String = self
            .target
            .chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().unwrap_or(0)
    }

    /// The index of an entry by its name, for [`crate::machine::launch()`].
    #[must_use]
    pub fn function(&self, name: &str) -> Option<usize> {
        self.functions.iter().position(|f| f.name == name)
    }
}

/// One `.entry`.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Kernel parameters with their places in the parameter buffer.
    pub params: Vec<Param>,
    /// Bytes of the parameter buffer.
    pub param_bytes: u32,
    /// Bytes of statically declared shared memory.
    pub static_shared: u32,
    /// Whether an `.extern .shared` array (dynamic shared memory) is used.
    pub dynamic_shared: bool,
    /// Bytes of local memory a thread.
    pub local_bytes: u32,
    /// 32-bit registers declared a thread. PTX registers are virtual: an upper bound, no `ptxas` allocation.
    pub registers: u32,
    /// `.maxntid`: the most threads a block, by dimension.
    pub max_threads: Option<[u32; 3]>,
    /// `.reqntid`: the block dimensions that a launch must have.
    pub required_threads: Option<[u32; 3]>,
    /// `.reqnctapercluster`: the cluster dimensions that a launch must have.
    pub required_cluster: Option<[u32; 3]>,
    /// `.minnctapersm`.
    pub min_blocks_per_sm: Option<u32>,
    /// Its instructions.
    pub(crate) code: Arc<Code>,
}

/// One kernel parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Param {
    /// Its name in the text.
    pub name: String,
    /// Offset in the parameter buffer, bytes.
    pub offset: u32,
    /// Size, bytes.
    pub size: u32,
    /// Alignment, bytes.
    pub align: u32,
}

/// One module-scope variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// `.const` (read-only to kernels) rather than `.global`.
    pub constant: bool,
    /// Size, bytes.
    pub size: u64,
    /// Alignment, bytes.
    pub align: u64,
    /// Initial bytes; shorter than `size` means the rest is zero.
    pub initial: Vec<u8>,
}

impl Variable {
    /// What it holds when the module is loaded: its initial bytes, then zeros.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        let mut bytes = self.initial.clone();
        // The parser bounds the size far below the address space.
        bytes.resize(self.size as usize, 0);
        bytes
    }
}
