//! A module with addresses: what `cuModuleLoadData` makes.

use super::{GlobalMemory, MemoryError};
use crate::ptx::Module;

/// A module whose variables live in device memory.
#[derive(Clone, Debug)]
pub struct Image {
    /// The parsed text.
    pub module: Module,
    /// Device address of each of `module.variables`.
    pub addresses: Vec<u64>,
}

impl Image {
    /// Allocates and initialises the module's variables.
    ///
    /// # Errors
    /// [`MemoryError`] where they do not fit.
    pub fn load(module: Module, memory: &mut GlobalMemory) -> Result<Self, MemoryError> {
        let mut addresses = Vec::with_capacity(module.variables.len());
        for variable in &module.variables {
            let address = memory.allocate(variable.size.max(1))?;
            memory.write(address, &variable.contents())?;
            addresses.push(address);
        }
        Ok(Self { module, addresses })
    }

    /// Frees the module's variables (`cuModuleUnload`).
    pub fn unload(self, memory: &mut GlobalMemory) {
        for address in self.addresses {
            // An address of `load` is always known; a second unload is impossible, `self` is consumed.
            let _ = memory.free(address);
        }
    }

    /// Device address and size of a module variable (`cuModuleGetGlobal`).
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<(u64, u64)> {
        let index = self.module.variables.iter().position(|v| v.name == name)?;
        Some((self.addresses[index], self.module.variables[index].size))
    }
}
