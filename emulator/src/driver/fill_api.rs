//! The fill calls (`cuMemset*`).

use super::command::Command;
use super::context::current;
use super::copy::{Fill, Place};
use super::error::{Code, Result, ensure, guard};
use super::handle::Handle;
use super::memory::DevicePointer;
use super::stream;

/// A rectangle of elements in device memory.
struct Rectangle {
    address: DevicePointer,
    pitch: usize,
    width: usize,
    rows: usize,
}

impl Rectangle {
    fn line(address: DevicePointer, width: usize) -> Self {
        Self { address, pitch: 0, width, rows: 1 }
    }
}

/// Fills with an element of `size` bytes; in a stream, or before the call returns.
fn fill(r: Rectangle, value: u32, size: usize, stream: Option<Handle>) -> Result<()> {
    let (driver, _) = current()?;
    let invalid = Code::CUDA_ERROR_INVALID_VALUE;
    let row = r.width.checked_mul(size).ok_or(invalid)?;
    let aligned = r.address.is_multiple_of(size as u64) && r.pitch.is_multiple_of(size);
    ensure(aligned && (r.rows <= 1 || r.pitch >= row), invalid)?;
    if row == 0 || r.rows == 0 {
        return Ok(());
    }
    let bytes = r.pitch.checked_mul(r.rows - 1).and_then(|rows| rows.checked_add(row));
    let place = Place::device(driver, r.address, bytes.ok_or(invalid)? as u64)?;
    let Rectangle { pitch, width, rows, .. } = r;
    let command = Command::Fill(Fill { place, pitch, value, size, width, rows });
    match stream {
        Some(stream) => stream::resolve(stream)?.submit(command).map(|_| ()),
        None => {
            driver.captures.refuse_unsafe_call()?;
            stream::legacy()?.submit_and_wait(command)
        }
    }
}

macro_rules! fills {
    ($($line:ident $line_async:ident $plane:ident $plane_async:ident $element:ty;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $line(address: DevicePointer, value: $element, count: usize) -> Code {
            let line = Rectangle::line(address, count);
            guard(stringify!($line), || fill(line, value.into(), size_of::<$element>(), None))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $line_async(
            address: DevicePointer,
            value: $element,
            count: usize,
            stream: Handle,
        ) -> Code {
            let (line, size) = (Rectangle::line(address, count), size_of::<$element>());
            guard(stringify!($line_async), || fill(line, value.into(), size, Some(stream)))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $plane(
            address: DevicePointer,
            pitch: usize,
            value: $element,
            width: usize,
            rows: usize,
        ) -> Code {
            let plane = Rectangle { address, pitch, width, rows };
            guard(stringify!($plane), || fill(plane, value.into(), size_of::<$element>(), None))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $plane_async(
            address: DevicePointer,
            pitch: usize,
            value: $element,
            width: usize,
            rows: usize,
            stream: Handle,
        ) -> Code {
            let (plane, size) = (Rectangle { address, pitch, width, rows }, size_of::<$element>());
            guard(stringify!($plane_async), || fill(plane, value.into(), size, Some(stream)))
        }
    )*};
}

fills! {
    cuMemsetD8_v2 cuMemsetD8Async cuMemsetD2D8_v2 cuMemsetD2D8Async u8;
    cuMemsetD16_v2 cuMemsetD16Async cuMemsetD2D16_v2 cuMemsetD2D16Async u16;
    cuMemsetD32_v2 cuMemsetD32Async cuMemsetD2D32_v2 cuMemsetD2D32Async u32;
}
