//! One tensor of a file: its element type, its shape, and where its bytes lie.

use safetensors::Dtype;

/// An element type: how many elements share a block, and the block's bytes. Scales inside a block count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element {
    /// Name in the file's format.
    pub name: &'static str,
    /// Elements of a block.
    pub elements: u64,
    /// Bytes of a block.
    pub bytes: u64,
}

impl Element {
    /// A type whose elements take `bits`, packed into the smallest whole number of bytes.
    const fn packed(name: &'static str, bits: u64) -> Self {
        match bits {
            4 => Self { name, elements: 2, bytes: 1 },
            6 => Self { name, elements: 4, bytes: 3 },
            _ => Self { name, elements: 1, bytes: bits / 8 },
        }
    }

    /// Bytes of a tensor of `shape`; `None` on overflow, or when its elements do not fill whole blocks.
    pub fn tensor_bytes(self, shape: &[u64]) -> Option<u64> {
        let elements = if shape.contains(&0) {
            0
        } else {
            shape.iter().try_fold(1_u64, |n, &dim| n.checked_mul(dim))?
        };
        let whole = elements.is_multiple_of(self.elements);
        whole.then(|| (elements / self.elements).checked_mul(self.bytes)).flatten()
    }
}

/// The name of a safetensors type as it is written in headers, where this version of the crate has it.
macro_rules! named {
    ($dtype:expr, $($name:ident)*) => {
        match $dtype { $(Dtype::$name => stringify!($name),)* _ => "unnamed" }
    };
}

impl From<Dtype> for Element {
    fn from(dtype: Dtype) -> Self {
        let name = named!(dtype,
            BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ
            I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64);
        Self::packed(name, dtype.bitsize() as u64)
    }
}

/// One tensor: its type and where its bytes lie in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Name, as in the header.
    pub name: String,
    /// Element type.
    pub element: Element,
    /// Elements along each dimension, outermost first.
    pub shape: Vec<u64>,
    /// Offset of its first byte, from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}
