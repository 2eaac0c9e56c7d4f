//! Addresses of tensor copies: which bytes of a tensor in global memory go to which bytes of shared
//! memory.
//!
//! PTX ISA 9.0, 5.5.3 and 5.5.7, tiled mode of one to five dimensions and its gather4/scatter4
//! form. The box lies densely in shared memory, dimension 0 innermost, each row swizzled by
//! address. Elements outside the tensor are filled on a load and left out on a store. The traversal
//! comes as [`Piece`]s that never cross a 16-byte chunk of shared memory, so that a swizzle keeps
//! each contiguous; the machine moves the bytes and counts them.

use super::Rules;
use super::swizzle::Swizzle;
use super::tensor_map::TensorMap;
use super::wgmma::Failure;

/// Up to 16 bytes that move together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Address in shared memory, swizzled.
    pub shared: u32,
    /// How many bytes.
    pub bytes: u32,
    /// Where they come from or go to.
    pub global: Source,
}

/// The other end of a [`Piece`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This address in global memory.
    Global(u64),
    /// Outside the tensor: each byte is this. Only for loads.
    Fill(u8),
}

/// Direction of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Global to shared.
    Load,
    /// Shared to global (reductions too).
    Store,
}

/// How coordinates select the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `.tile`: one coordinate a dimension.
    Tile,
    /// `.tile::gather4` and `.tile::scatter4`: a column and four rows of a matrix.
    FourRows,
}

/// Alignment of the shared-memory end, bytes.
pub const SHARED_ALIGNMENT: u32 = 128;
/// More than any block has, bytes: keeps a senseless box from running for minutes.
const MOST_SHARED: u32 = 1 << 18;
/// Every byte of the special NaN that out-of-bounds elements of floating-point types are filled
/// with on request.
const OOB_NAN: u8 = 0xff;

/// One tensor copy.
#[derive(Clone, Copy, Debug)]
pub struct TensorCopy<'a> {
    /// The tensor and the box.
    pub map: &'a TensorMap,
    /// Coordinates of the box's first element, dimension 0 first.
    pub coordinates: &'a [i32],
    /// Meaning of the coordinates.
    pub mode: Mode,
    /// Direction.
    pub direction: Direction,
    /// Address of the box in shared memory.
    pub shared: u32,
}

impl TensorCopy<'_> {
    /// Bytes the copy covers in shared memory: what its barrier counts.
    pub fn bytes(&self) -> u32 {
        match self.mode {
            Mode::Tile => self.map.box_bytes(),
            Mode::FourRows => 4 * self.map.row_bytes(),
        }
    }

    /// Calls `visit` with every piece, in the order of the box.
    ///
    /// # Errors
    /// Operands that the ISA does not allow, or what `visit` returns.
    pub fn pieces<E>(
        &self,
        rules: &Rules,
        mut visit: impl FnMut(Piece) -> Result<(), E>,
    ) -> Result<(), Failure<E>> {
        self.check().map_err(Failure::Operand)?;
        let map = self.map;
        let row_bytes = map.row_bytes();
        if self.mode == Mode::FourRows {
            for (i, &row) in self.coordinates[1..].iter().enumerate() {
                self.row(
                    &[row.into()],
                    self.shared.wrapping_add(i as u32 * row_bytes),
                    rules,
                    &mut visit,
                )?;
            }
            return Ok(());
        }
        // An odometer over the outer dimensions.
        let mut steps = [0u32; 4];
        let outer = map.rank - 1;
        let mut shared = self.shared;
        loop {
            let mut at = [0i64; 4];
            for i in 0..outer {
                at[i] = i64::from(self.coordinates[i + 1])
                    + i64::from(steps[i] * map.element_strides[i + 1]);
            }
            self.row(&at[..outer], shared, rules, &mut visit)?;
            shared = shared.wrapping_add(row_bytes);
            let Some(turn) = (0..outer).find(|&i| steps[i] + 1 < map.box_steps(i + 1)) else {
                return Ok(());
            };
            steps[turn] += 1;
            steps[..turn].fill(0);
        }
    }

    fn check(&self) -> Result<(), String> {
        let map = self.map;
        let wanted = if self.mode == Mode::FourRows { 5 } else { map.rank };
        if self.coordinates.len() != wanted {
            return Err(format!(
                "tensor copy has {} coordinates, its tensor map needs {wanted}",
                self.coordinates.len()
            ));
        }
        if self.mode == Mode::FourRows && (map.rank != 2 || map.box_dims[1] != 1) {
            return Err("gather4 and scatter4 need a 2-D tensor map whose box has one row".into());
        }
        if !self.shared.is_multiple_of(SHARED_ALIGNMENT) {
            return Err(format!(
                "tensor copy: shared address {:#x} must be a multiple of {SHARED_ALIGNMENT}",
                self.shared
            ));
        }
        if self.bytes() > MOST_SHARED {
            let bytes = self.bytes();
            return Err(format!(
                "tensor copy of {bytes} bytes: no block has that much shared memory"
            ));
        }
        let unit = map.data_type.unit();
        let multiple = if unit.elements == 16 { 128 } else { unit.elements as i32 };
        if self.coordinates[0] % multiple != 0 {
            return Err(format!(
                "tensor copy: coordinate 0 is {}, must be a multiple of {multiple}",
                self.coordinates[0]
            ));
        }
        if self.direction == Direction::Store {
            if self.coordinates.iter().any(|&c| c < 0) {
                return Err(format!(
                    "tensor store: coordinates {:?} must not be negative",
                    self.coordinates
                ));
            }
            if unit.global != unit.shared {
                return Err("tensor store: the padded 4- and 6-bit types are for loads".into());
            }
        }
        Ok(())
    }

    /// One row of the box, at coordinates `at` of the dimensions from 1 up.
    fn row<E>(
        &self,
        at: &[i64],
        shared: u32,
        rules: &Rules,
        visit: &mut impl FnMut(Piece) -> Result<(), E>,
    ) -> Result<(), Failure<E>> {
        let map = self.map;
        let unit = map.data_type.unit();
        let inside = at.iter().zip(&map.dims[1..]).all(|(&x, &dim)| x >= 0 && (x as u64) < dim);
        let offset = at
            .iter()
            .zip(&map.strides)
            .fold(0u64, |sum, (&x, &stride)| sum.wrapping_add((x as u64).wrapping_mul(stride)));
        let first = i64::from(self.coordinates[0]) / i64::from(unit.elements);
        let units = (map.box_dims[0] / unit.elements) as i64;
        // Units [low, high) of the row lie in the tensor.
        let limit = (map.dims[0] / u64::from(unit.elements)) as i64;
        let low = (-first).clamp(0, units);
        let high = (limit - first).clamp(low, units);
        let (low, high) = if inside { (low, high) } else { (0, 0) };
        let chunk = if map.swizzle == Swizzle::B128Atom32Flip8 { 8 } else { 16 };
        // Units that fit a chunk; padded types have one.
        let step = i64::from((chunk / unit.shared).max(1));
        let mut i = 0;
        while i < units {
            // Stop at the chunk's end and where the tensor begins or ends.
            let mut end = (i / step + 1) * step;
            for edge in [low, high, units] {
                if i < edge {
                    end = end.min(edge);
                }
            }
            let count = (end - i) as u32;
            let global = if (low..high).contains(&i) {
                let column = ((first + i) as u64).wrapping_mul(unit.global.into());
                Source::Global(map.address.wrapping_add(offset).wrapping_add(column))
            } else {
                Source::Fill(if map.fill_nan { OOB_NAN } else { 0 })
            };
            let piece = Piece {
                shared: rules.swizzled(map.swizzle, shared.wrapping_add(i as u32 * unit.shared)),
                bytes: count * unit.global,
                global,
            };
            if self.direction == Direction::Load || matches!(global, Source::Global(_)) {
                visit(piece).map_err(Failure::Memory)?;
            }
            i = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
