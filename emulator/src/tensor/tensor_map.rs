//! `CUtensorMap`: the parameters of `cuTensorMapEncodeTiled`, their documented limits, and our own
//! 128 bytes.
//!
//! The object is opaque, so its layout is free as long as host and device agree; ours starts with a
//! magic number, so that a kernel handed anything else says so instead of copying from nowhere.
//! Limits: CUDA Driver API, "Tensor Map Object Management", `cuTensorMapEncodeTiled`; PTX ISA 9.0,
//! 5.5 and 9.7.9.25.5.1. Interleaved layouts and im2col are refused.

use super::swizzle::Swizzle;

/// The most dimensions of a tensor.
pub const MAX_RANK: usize = 5;
/// Size of the encoded object, bytes.
pub const ENCODED_BYTES: usize = 128;

const MAGIC: [u8; 8] = *b"hdynTMA1";

/// `CUtensorMapDataType`, with the driver's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataType(u32);

impl DataType {
    /// The type with the driver's number, if there is one.
    pub fn new(number: u32) -> Option<Self> {
        (number <= 15).then_some(Self(number))
    }

    /// The driver's number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether out-of-bounds elements may be filled with NaN.
    pub fn is_float(self) -> bool {
        (6..=12).contains(&self.0)
    }

    /// What is copied as a whole: how many elements, how many bytes in global and in shared memory.
    /// The 4- and 6-bit types with 16-byte alignment are padded in shared memory.
    pub fn unit(self) -> Unit {
        let (elements, global, shared) = match self.0 {
            0 => (1, 1, 1),         // UINT8
            1 | 6 | 9 => (1, 2, 2), // UINT16, FLOAT16, BFLOAT16
            4 | 5 | 8 => (1, 8, 8), // UINT64, INT64, FLOAT64
            13 => (2, 1, 1),        // 16U4_ALIGN8B: .b4x16
            14 => (16, 8, 16),      // 16U4_ALIGN16B: .b4x16_p64
            15 => (16, 12, 16),     // 16U6_ALIGN16B: .b6x16_p32
            _ => (1, 4, 4),         // UINT32, INT32, FLOAT32(_FTZ), TFLOAT32(_FTZ)
        };
        Unit { elements, global, shared }
    }

    fn is_padded(self) -> bool {
        matches!(self.0, 14 | 15)
    }
}

/// See [`DataType::unit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Elements.
    pub elements: u32,
    /// Bytes in global memory.
    pub global: u32,
    /// Bytes in shared memory, padding included.
    pub shared: u32,
}

/// The parameters of `cuTensorMapEncodeTiled`. Dimension 0 is the contiguous one; unused dimensions
/// are 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorMap {
    /// Element type.
    pub data_type: DataType,
    /// Number of dimensions, 1 to 5.
    pub rank: usize,
    /// Address of the first element.
    pub address: u64,
    /// Elements in each dimension.
    pub dims: [u64; MAX_RANK],
    /// Bytes between neighbours in dimensions 1 to 4 (`globalStrides`).
    pub strides: [u64; MAX_RANK - 1],
    /// Elements of the box in each dimension.
    pub box_dims: [u32; MAX_RANK],
    /// Traversal stride in each dimension.
    pub element_strides: [u32; MAX_RANK],
    /// `CUtensorMapInterleave`; only 0 (none) is modelled.
    pub interleave: u32,
    /// Swizzle in shared memory.
    pub swizzle: Swizzle,
    /// `CUtensorMapL2promotion`, a hint.
    pub l2_promotion: u32,
    /// Fill out-of-bounds elements with NaN instead of zero.
    pub fill_nan: bool,
}

/// The swizzle with the driver's number (`CUtensorMapSwizzle`).
pub fn swizzle_from_number(number: u32) -> Option<Swizzle> {
    SWIZZLES.get(number as usize).copied()
}

const SWIZZLES: [Swizzle; 7] = [
    Swizzle::None,
    Swizzle::B32,
    Swizzle::B64,
    Swizzle::B128,
    Swizzle::B128Atom32,
    Swizzle::B128Atom32Flip8,
    Swizzle::B128Atom64,
];

impl TensorMap {
    /// A map of a dense tensor with a box, traversal strides 1, no swizzle, zero fill.
    pub fn dense(data_type: DataType, address: u64, dims: &[u64], box_dims: &[u32]) -> Self {
        let mut map = Self {
            data_type,
            rank: dims.len(),
            address,
            dims: [1; MAX_RANK],
            strides: [0; MAX_RANK - 1],
            box_dims: [1; MAX_RANK],
            element_strides: [1; MAX_RANK],
            interleave: 0,
            swizzle: Swizzle::None,
            l2_promotion: 0,
            fill_nan: false,
        };
        for (i, (&dim, &size)) in dims.iter().zip(box_dims).enumerate().take(MAX_RANK) {
            (map.dims[i], map.box_dims[i]) = (dim, size);
        }
        let unit = data_type.unit();
        let mut bytes = map.dims[0].div_ceil(unit.elements.into()) * u64::from(unit.global);
        for i in 0..map.rank.saturating_sub(1).min(MAX_RANK - 1) {
            map.strides[i] = bytes;
            bytes = bytes.saturating_mul(map.dims[i + 1]);
        }
        map
    }

    /// Bytes of one row of the box in shared memory.
    pub fn row_bytes(&self) -> u32 {
        let unit = self.data_type.unit();
        self.box_dims[0] / unit.elements * unit.shared
    }

    /// Elements of the box along a dimension, as they lie in shared memory: every
    /// `element_stride`-th.
    pub fn box_steps(&self, dimension: usize) -> u32 {
        // The traversal stride of dimension 0 is ignored without interleave.
        let stride = if dimension == 0 { 1 } else { self.element_strides[dimension] };
        self.box_dims[dimension].div_ceil(stride)
    }

    /// Bytes of the box in shared memory: what a load adds to its barrier, out-of-bounds elements
    /// included.
    pub fn box_bytes(&self) -> u32 {
        let rows = (1..self.rank).map(|i| self.box_steps(i)).fold(1u32, u32::saturating_mul);
        rows.saturating_mul(self.row_bytes())
    }

    /// Checks every documented limit; what it refuses, the driver answers with
    /// `CUDA_ERROR_INVALID_VALUE`.
    ///
    /// # Errors
    /// A sentence naming the parameter, its value and the limit.
    pub fn validate(&self) -> Result<(), String> {
        let unit = self.data_type.unit();
        let padded = self.data_type.is_padded();
        let alignment = if padded { 32 } else { 16 };
        require((1..=MAX_RANK).contains(&self.rank), || {
            format!("tensorRank is {}, must be 1 to 5", self.rank)
        })?;
        require(self.interleave == 0, || {
            "interleaved layouts are not modelled; use interleave NONE".into()
        })?;
        require(self.l2_promotion <= 3, || {
            format!("l2Promotion is {}, must be 0 to 3", self.l2_promotion)
        })?;
        require(self.address.is_multiple_of(alignment), || {
            format!("globalAddress {:#x} must be a multiple of {alignment}", self.address)
        })?;
        for (i, &dim) in self.dims[..self.rank].iter().enumerate() {
            require((1..=1 << 32).contains(&dim), || {
                format!("globalDim[{i}] is {dim}, must be 1 to 2^32")
            })?;
        }
        let multiple = if padded { 128 } else { u64::from(unit.elements) };
        require(self.dims[0].is_multiple_of(multiple), || {
            format!(
                "globalDim[0] is {}, must be a multiple of {multiple} for this type",
                self.dims[0]
            )
        })?;
        for (i, &stride) in self.strides[..self.rank - 1].iter().enumerate() {
            require(stride.is_multiple_of(alignment) && stride < 1 << 40, || {
                format!(
                    "globalStrides[{i}] is {stride}, must be a multiple of {alignment}, below 2^40"
                )
            })?;
        }
        for (i, &size) in self.box_dims[..self.rank].iter().enumerate() {
            require((1..=256).contains(&size), || {
                format!("boxDim[{i}] is {size}, must be 1 to 256")
            })?;
        }
        for (i, &stride) in self.element_strides[..self.rank].iter().enumerate() {
            require((1..=8).contains(&stride), || {
                format!("elementStrides[{i}] is {stride}, must be 1 to 8")
            })?;
        }
        require(!padded || self.box_dims[0] == 128, || {
            "boxDim[0] must be 128 for this type".into()
        })?;
        require(
            self.box_dims[0].is_multiple_of(unit.elements) && self.row_bytes().is_multiple_of(16),
            || format!("boxDim[0] is {} bytes, must be a multiple of 16", self.row_bytes()),
        )?;
        let width = self.swizzle.width();
        require(self.swizzle == Swizzle::None || self.row_bytes() <= width, || {
            format!(
                "boxDim[0] is {} bytes, must be at most {width} with this swizzle",
                self.row_bytes()
            )
        })?;
        let wide = matches!(
            self.swizzle,
            Swizzle::None | Swizzle::B128 | Swizzle::B128Atom32 | Swizzle::B128Atom64
        );
        require(!padded || wide, || {
            "this type takes no swizzle or a 128-byte one without 8-byte flip".into()
        })?;
        require(!self.fill_nan || self.data_type.is_float(), || {
            "NaN fill needs a floating-point type".into()
        })
    }

    /// The opaque object.
    pub fn encode(&self) -> [u8; ENCODED_BYTES] {
        let mut writer = Writer { bytes: [0; ENCODED_BYTES], at: 0 };
        writer.put(&MAGIC);
        writer.put(&self.address.to_le_bytes());
        // 2^32 does not fit 32 bits: dimensions are kept less one.
        self.dims.iter().for_each(|&dim| writer.put(&(dim.wrapping_sub(1) as u32).to_le_bytes()));
        self.strides.iter().for_each(|stride| writer.put(&stride.to_le_bytes()));
        self.box_dims.iter().for_each(|&size| writer.put(&(size.min(0xffff) as u16).to_le_bytes()));
        let swizzle = SWIZZLES.iter().position(|&s| s == self.swizzle).unwrap_or(0);
        writer.put(&self.element_strides.map(|stride| stride.min(255) as u8));
        writer.put(&[
            self.data_type.0 as u8,
            self.rank as u8,
            swizzle as u8,
            self.interleave as u8,
            self.l2_promotion as u8,
            self.fill_nan.into(),
        ]);
        writer.bytes
    }

    /// Reads an object that [`Self::encode`] wrote, and validates it again.
    ///
    /// # Errors
    /// A sentence: not a tensor map, or a limit it breaks.
    pub fn decode(bytes: &[u8; ENCODED_BYTES]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take::<8>() != MAGIC {
            return Err(
                "not a tensor map: pass the 128 bytes of cuTensorMapEncodeTiled unchanged".into()
            );
        }
        let address = u64::from_le_bytes(reader.take());
        let dims = std::array::from_fn(|_| u64::from(u32::from_le_bytes(reader.take())) + 1);
        let strides = std::array::from_fn(|_| u64::from_le_bytes(reader.take()));
        let box_dims = std::array::from_fn(|_| u16::from_le_bytes(reader.take()).into());
        let element_strides = reader.take::<5>().map(u32::from);
        let [data_type, rank, swizzle, interleave, l2_promotion, fill_nan] = reader.take::<6>();
        let map = Self {
            data_type: DataType::new(data_type.into()).ok_or("tensor map: bad data type")?,
            rank: rank.into(),
            address,
            dims,
            strides,
            box_dims,
            element_strides,
            interleave: interleave.into(),
            swizzle: swizzle_from_number(swizzle.into()).ok_or("tensor map: bad swizzle")?,
            l2_promotion: l2_promotion.into(),
            fill_nan: fill_nan != 0,
        };
        map.validate()?;
        Ok(map)
    }
}

fn require(condition: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise()) }
}

struct Writer {
    bytes: [u8; ENCODED_BYTES],
    at: usize,
}

impl Writer {
    fn put(&mut self, field: &[u8]) {
        self.bytes[self.at..self.at + field.len()].copy_from_slice(field);
        self.at += field.len();
    }
}

struct Reader<'a> {
    bytes: &'a [u8; ENCODED_BYTES],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let field = std::array::from_fn(|i| self.bytes[self.at + i]);
        self.at += N;
        field
    }
}

#[cfg(test)]
mod tests;
