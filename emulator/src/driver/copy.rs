//! What a copy and a fill are: rows of bytes between places. The entry points are in [`super::copy_api`].

use super::context::Context;
use super::cost::{self, Picoseconds, Route};
use super::error::{Code, Result, ensure};
use super::region::Region;
use super::space::Kind;
use super::state::Driver;
use std::sync::Arc;

/// Where the bytes of one side of a copy are.
#[derive(Clone, Debug)]
pub enum Place {
    /// Memory that the driver knows, from this address on.
    Known { region: Arc<Region>, address: u64, on_device: bool },
    /// Pageable memory of the program; it stays valid because the call waits for the copy.
    Pageable(*mut u8),
    /// Bytes taken from pageable memory when the call was made.
    Staged(Arc<[u8]>),
}

// SAFETY: a place is an address range; stream order decides who touches it when, as on hardware.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Place {
    /// The place of a device pointer: memory that the driver knows.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` unless the whole range lies in one allocation.
    pub fn device(driver: &Driver, address: u64, bytes: u64) -> Result<Self> {
        let allocation = driver.space.range(address, bytes)?;
        let on_device = matches!(allocation.kind, Kind::Device(_));
        Ok(Self::Known { region: allocation.region, address, on_device })
    }

    /// The place of a host pointer: pinned if the driver knows it, pageable otherwise.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for null, for device memory, and for a range that leaves a pinned allocation.
    pub fn host(driver: &Driver, pointer: *mut u8, bytes: u64) -> Result<Self> {
        ensure(!pointer.is_null(), Code::CUDA_ERROR_INVALID_VALUE)?;
        match Self::any(driver, pointer as u64, bytes)? {
            Self::Known { on_device: true, .. } => Err(Code::CUDA_ERROR_INVALID_VALUE),
            place => Ok(place),
        }
    }

    /// The place of a pointer that can be either, as unified addressing tells.
    ///
    /// # Errors
    /// `CUDA_ERROR_INVALID_VALUE` for null and for a range that leaves its allocation.
    pub fn any(driver: &Driver, address: u64, bytes: u64) -> Result<Self> {
        ensure(address != 0, Code::CUDA_ERROR_INVALID_VALUE)?;
        let known = driver.space.find(address).filter(|a| a.region.holds(address, 1));
        // Addresses above user space are never the program's own: a freed or made-up device pointer.
        if known.is_some() || address >= super::space::FIRST_ADDRESS {
            Self::device(driver, address, bytes)
        } else {
            Ok(Self::Pageable(address as *mut u8))
        }
    }

    fn pointer(&self) -> *mut u8 {
        match self {
            Self::Known { region, address, .. } => region.at(*address),
            Self::Pageable(pointer) => *pointer,
            Self::Staged(bytes) => bytes.as_ptr().cast_mut(),
        }
    }

    /// Refuses memory that was freed since the operation was recorded.
    fn check(&self) -> Result<()> {
        match self {
            Self::Known { region, .. } => {
                ensure(region.is_live(), Code::CUDA_ERROR_ILLEGAL_ADDRESS)
            }
            _ => Ok(()),
        }
    }

    fn on_device(&self) -> bool {
        matches!(self, Self::Known { on_device: true, .. })
    }

    fn pinned(&self) -> bool {
        matches!(self, Self::Known { on_device: false, .. })
    }
}

/// One side of a copy.
#[derive(Clone, Debug)]
pub struct Side {
    /// First byte.
    pub place: Place,
    /// Bytes from one row to the next.
    pub pitch: usize,
}

/// One copy.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Read from.
    pub source: Side,
    /// Written to.
    pub target: Side,
    /// Bytes a row.
    pub width: usize,
    /// Rows.
    pub rows: usize,
    /// How many times its cost it takes (fault `slow-copy`).
    pub slow: f64,
}

impl Copy {
    /// Bytes without gaps.
    #[must_use]
    pub fn linear(source: Place, target: Place, bytes: usize) -> Self {
        let side = |place| Side { place, pitch: bytes };
        Self { source: side(source), target: side(target), width: bytes, rows: 1, slow: 1.0 }
    }

    /// Which way the bytes go.
    #[must_use]
    pub fn route(&self) -> Route {
        let (source, target) = (&self.source.place, &self.target.place);
        match (source.on_device(), target.on_device()) {
            (true, true) => Route::Device,
            (false, false) => Route::Host,
            (true, false) if target.pinned() => Route::Pinned,
            (false, true) if source.pinned() => Route::Pinned,
            _ => Route::Pageable,
        }
    }

    /// Whether the call must wait for the copy: its target is pageable, and nobody says when the program reads it.
    #[must_use]
    pub fn must_wait(&self) -> bool {
        matches!(self.target.place, Place::Pageable(_))
    }

    /// Takes a pageable source's bytes now, so that the program may change them as soon as the call returns.
    #[must_use]
    pub fn staged(mut self) -> Self {
        if let Place::Pageable(pointer) = self.source.place {
            let mut bytes = Vec::with_capacity(self.width * self.rows);
            for row in 0..self.rows {
                // SAFETY: the program gave a pointer to rows of this width and pitch.
                bytes.extend_from_slice(unsafe {
                    std::slice::from_raw_parts(pointer.add(row * self.source.pitch), self.width)
                });
            }
            self.source = Side { place: Place::Staged(bytes.into()), pitch: self.width };
        }
        self
    }

    /// Moves the bytes; returns the cost without the fixed part.
    ///
    /// # Errors
    /// `CUDA_ERROR_ILLEGAL_ADDRESS` for memory that was freed meanwhile.
    pub fn run(&self, context: &Context) -> Result<Picoseconds> {
        self.source.place.check()?;
        self.target.place.check()?;
        let (source, target) = (self.source.place.pointer(), self.target.place.pointer());
        for row in 0..self.rows {
            // SAFETY: both sides were checked, or promised by the program, to hold all rows.
            unsafe {
                let from = source.add(row * self.source.pitch);
                std::ptr::copy(from, target.add(row * self.target.pitch), self.width);
            }
        }
        let bytes = (self.width * self.rows) as u64;
        let cost = cost::copy(context.device.model, bytes, self.route());
        Ok((cost as f64 * self.slow) as Picoseconds)
    }
}

/// One fill.
#[derive(Clone, Debug)]
pub struct Fill {
    /// First byte.
    pub place: Place,
    /// Bytes from one row to the next.
    pub pitch: usize,
    /// The element; its low `size` bytes are used.
    pub value: u32,
    /// Bytes an element: 1, 2 or 4.
    pub size: usize,
    /// Elements a row.
    pub width: usize,
    /// Rows.
    pub rows: usize,
}

impl Fill {
    /// Writes the elements; returns the cost without the fixed part.
    ///
    /// # Errors
    /// `CUDA_ERROR_ILLEGAL_ADDRESS` for memory that was freed meanwhile.
    pub fn run(&self, context: &Context) -> Result<Picoseconds> {
        self.place.check()?;
        let start = self.place.pointer();
        let value = &self.value.to_le_bytes()[..self.size];
        for row in 0..self.rows {
            // SAFETY: the place was checked to hold all rows; stream order keeps others off it.
            let row = unsafe {
                let first = start.add(row * self.pitch);
                std::slice::from_raw_parts_mut(first, self.width * self.size)
            };
            match value {
                [byte] => row.fill(*byte),
                _ => row.chunks_exact_mut(self.size).for_each(|c| c.copy_from_slice(value)),
            }
        }
        Ok(cost::fill(context.device.model, (self.width * self.size * self.rows) as u64))
    }
}
