//! Modules: PTX compiled for a device, its variables in device memory, its kernels as functions.

use super::context::{Context, current};
use super::error::{Code, Result, ensure};
use super::handle::{Handle, lock};
use super::jit::{self, Refusal};
use super::model::SHARED_PER_BLOCK;
use super::region::Region;
use super::space::Kind;
use super::state::Driver;
use crate::machine::Image;
use crate::ptx;
use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A module in a context.
#[derive(Debug)]
pub struct LoadedModule {
    /// Number of its context.
    pub context_id: Option<u64>,
    /// Capability of its device, times ten.
    pub architecture: u32,
    /// The compiled text, and where its variables are.
    pub image: Image,
    regions: Vec<Arc<Region>>,
    functions: Mutex<HashMap<String, usize>>,
}

/// A kernel of a module.
#[derive(Debug)]
pub struct Function {
    /// Its module.
    pub module: Arc<LoadedModule>,
    /// Its index in the module.
    pub index: usize,
    /// Bytes of dynamic shared memory that a launch may ask for.
    pub max_dynamic_shared: AtomicU32,
    /// Clusters above the portable size are allowed.
    pub non_portable_cluster: AtomicBool,
}

impl Function {
    /// What the text declares.
    #[must_use]
    pub fn declared(&self) -> &ptx::Function {
        &self.module.image.module.functions[self.index]
    }

    /// The most threads of a block.
    #[must_use]
    pub fn max_threads(&self) -> u32 {
        let declared = self.declared();
        let stated = declared.required_threads.or(declared.max_threads);
        let stated = stated.map(|[x, y, z]| x.saturating_mul(y).saturating_mul(z));
        stated.unwrap_or(u32::MAX).min(super::model::THREADS_PER_BLOCK)
    }

    /// Registers a thread: an estimate. PTX declares virtual registers, of which many never live together; without
    /// `ptxas` nobody knows the true number, so this is the declared number within what hardware allows.
    #[must_use]
    pub fn estimated_registers(&self) -> u32 {
        self.declared().registers.clamp(16, 255)
    }
}

/// An image as the C caller passed it.
///
/// # Safety
/// `image` must be null, machine code, or a C string.
pub unsafe fn text_of<'a>(image: *const c_void) -> std::result::Result<&'a str, Refusal> {
    let refuse = |code, log: &str| Refusal { code, log: log.into() };
    if image.is_null() {
        return Err(refuse(Code::CUDA_ERROR_INVALID_VALUE, "the image is a null pointer"));
    }
    // A C string shorter than four bytes ends in NUL, so its first bytes are looked at one by one.
    let mut head = Vec::with_capacity(4);
    while head.len() < 4 && head.last() != Some(&0) {
        // SAFETY: up to its NUL, a C string is readable; machine code is longer than four bytes.
        head.push(unsafe { image.cast::<u8>().add(head.len()).read() });
    }
    if jit::is_binary(&head) {
        let log = "the image is machine code (cubin or fat binary); the emulator runs PTX only";
        return Err(refuse(Code::CUDA_ERROR_NO_BINARY_FOR_GPU, log));
    }
    // SAFETY: not machine code, so a C string.
    let text = unsafe { CStr::from_ptr(image.cast()) };
    text.to_str().map_err(|_| refuse(Code::CUDA_ERROR_INVALID_IMAGE, "the image is no text"))
}

/// Compiles a text and loads it into the current context; the error log tells why not.
///
/// # Errors
/// The outer error is the context's, the inner one the text's.
pub fn load(text: &str) -> Result<std::result::Result<Handle, Refusal>> {
    let (driver, context) = current()?;
    driver.captures.refuse_unsafe_call()?;
    let compiled = jit::compile(text, context.device.model, driver.settings.driver_version);
    let module = match compiled {
        Ok(module) => module,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let loaded = LoadedModule::new(driver, &context, module)?;
    Ok(Ok(driver.modules.insert(Arc::new(loaded))))
}

impl LoadedModule {
    fn new(driver: &Driver, context: &Context, module: ptx::Module) -> Result<Self> {
        let (mut addresses, mut regions) = (Vec::new(), Vec::new());
        for variable in &module.variables {
            let contents = variable.contents();
            let region = context.device.allocate(driver, variable.size.max(1))?;
            // SAFETY: the region is at least this long and nobody else knows it yet.
            unsafe { region.pointer.copy_from_nonoverlapping(contents.as_ptr(), contents.len()) };
            let kind = Kind::Device(context.device.ordinal);
            driver.space.insert(region.clone(), kind, context.id, None)?;
            addresses.push(region.address);
            regions.push(region);
        }
        let (major, minor) = context.device.model.capability;
        Ok(Self {
            context_id: Some(context.id),
            architecture: major * 10 + minor,
            image: Image { module, addresses },
            regions,
            functions: Mutex::default(),
        })
    }

    /// Frees the module's variables and forgets its functions.
    pub fn unload(&self, driver: &Driver) {
        for region in &self.regions {
            if let Some(taken) = driver.space.remove(region.address, |_| true)
                && let Kind::Device(ordinal) = taken.kind
            {
                driver.devices[ordinal].release(region);
            }
        }
        for handle in std::mem::take(&mut *lock(&self.functions)).into_values() {
            // Already gone where the context was destroyed first.
            let _ = driver.functions.remove(handle as Handle);
        }
    }

    /// The handle of a kernel by its name; the same one each time.
    ///
    /// # Errors
    /// `CUDA_ERROR_NOT_FOUND`.
    pub fn function(self: &Arc<Self>, driver: &Driver, name: &str) -> Result<Handle> {
        let index = self.image.module.function(name).ok_or(Code::CUDA_ERROR_NOT_FOUND)?;
        let mut functions = lock(&self.functions);
        let handle = functions.entry(name.to_string()).or_insert_with(|| {
            let static_shared = self.image.module.functions[index].static_shared;
            let function = Function {
                module: self.clone(),
                index,
                max_dynamic_shared: AtomicU32::new(SHARED_PER_BLOCK.saturating_sub(static_shared)),
                non_portable_cluster: AtomicBool::new(false),
            };
            driver.functions.insert(Arc::new(function)) as usize
        });
        Ok(*handle as Handle)
    }

    /// Address and size of a variable by its name.
    ///
    /// # Errors
    /// `CUDA_ERROR_NOT_FOUND`.
    pub fn variable(&self, name: &str) -> Result<(u64, u64)> {
        self.image.variable(name).ok_or(Code::CUDA_ERROR_NOT_FOUND)
    }
}

impl Function {
    /// Lets launches ask for dynamic shared memory up to what the device allows one block.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` beyond that.
    pub fn allow_dynamic_shared(&self, bytes: i32, optin: u32) -> Result<()> {
        let bytes = u32::try_from(bytes).map_err(|_| Code::CUDA_ERROR_INVALID_VALUE)?;
        let room = optin.saturating_sub(self.declared().static_shared);
        ensure(bytes <= room, Code::CUDA_ERROR_INVALID_VALUE)?;
        self.max_dynamic_shared.store(bytes, Ordering::SeqCst);
        Ok(())
    }
}
