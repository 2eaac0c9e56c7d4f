//! One safetensors shard's header: which tensor lies where. No tensor data is read.
//!
//! Format (README of huggingface/safetensors): a little-endian u64 length, that many bytes of JSON, then the tensors
//! with no holes. A header comes from outside, so nothing in it is believed: lengths are checked before anything is
//! allocated, and what is accepted tiles the file exactly. The `safetensors` crate parses a buffer that holds the
//! whole file and lets a repeated name win silently; here only the header is read and a repeated name is an error.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use safetensors::Dtype;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::IgnoredAny};

use super::tensor::{Element, Tensor};
use crate::{Error, Result};

/// Longest header in bytes that is accepted: the limit of the reference implementation
/// (huggingface/safetensors `tensor.rs`, `MAX_HEADER_SIZE`).
pub const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Bytes of the length in front of the header.
const LENGTH_BYTES: u64 = 8;

/// Most dimensions of a tensor: what the common runtimes can hold (64 in PyTorch).
const MAX_RANK: usize = 64;

/// What a shard's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where tensor data starts, in bytes from the start of the file.
    pub data_offset: u64,
    /// Length of the file in bytes.
    pub file_bytes: u64,
    /// Every tensor, by offset.
    pub tensors: Vec<Tensor>,
}

impl Header {
    /// Reads and checks the header of the regular file `path`.
    ///
    /// # Errors
    /// When the file can't be read, or is not a well-formed safetensors file of exactly this length.
    pub fn read(path: &Path) -> Result<Self> {
        let file = open_regular(path)?;
        Self::read_from(&file, path)
    }

    /// [`Self::read`] on an open file; `path` is for messages.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn read_from(file: &File, path: &Path) -> Result<Self> {
        let unreadable = |e| Error::path("read the header of", path, e);
        let file_bytes = file.metadata().map_err(unreadable)?.len();
        let mut length = [0; LENGTH_BYTES as usize];
        if file_bytes >= LENGTH_BYTES {
            file.read_exact_at(&mut length, 0).map_err(unreadable)?;
        }
        let length = header_length(length, file_bytes).map_err(|fault| malformed(path, &fault))?;
        let mut json = vec![0; length as usize];
        file.read_exact_at(&mut json, LENGTH_BYTES).map_err(unreadable)?;
        Self::parse(&json, file_bytes).map_err(|fault| malformed(path, &fault))
    }

    /// [`Self::read`] of a file whose whole content is in memory; `path` is for messages.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn of_content(content: &[u8], path: &Path) -> Result<Self> {
        let file_bytes = content.len() as u64;
        let length = content.first_chunk().copied().unwrap_or_default();
        let parsed = header_length(length, file_bytes).and_then(|length| {
            let json = &content[LENGTH_BYTES as usize..][..length as usize];
            Self::parse(json, file_bytes)
        });
        parsed.map_err(|fault| malformed(path, &fault))
    }

    /// Parses the JSON part of a header that belongs to a file of `file_bytes`.
    ///
    /// # Errors
    /// What is wrong with it, as one sentence without a full stop.
    pub fn parse(json: &[u8], file_bytes: u64) -> Result<Self, String> {
        let text = std::str::from_utf8(json)
            .map_err(|e| format!("its header is not UTF-8 at byte {}", e.valid_up_to()))?;
        if !text.starts_with('{') {
            return Err("its header does not start with '{'".into());
        }
        let entries: Entries =
            serde_json::from_str(text).map_err(|e| format!("its header is not valid JSON: {e}"))?;
        let data_offset = LENGTH_BYTES + json.len() as u64;
        let data_bytes = file_bytes
            .checked_sub(data_offset)
            .ok_or_else(|| format!("its header ends at byte {data_offset} of {file_bytes}"))?;
        let tensors = place(entries.0, data_offset, data_bytes)?;
        Ok(Self { data_offset, file_bytes, tensors })
    }
}

/// Opens `path` for reading if it is a regular file: opening a FIFO would wait for a writer for ever.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(|e| Error::path("open", path, e))?;
    let kind = file.metadata().map_err(|e| Error::path("examine", path, e))?.file_type();
    if kind.is_file() {
        Ok(file)
    } else {
        Err(Error::input(
            format!("{} is not a regular file", path.display()),
            "Name a directory that holds *.safetensors files",
        ))
    }
}

fn malformed(path: &Path, fault: &str) -> Error {
    Error::input(
        format!("{} is not a usable safetensors shard: {fault}", path.display()),
        "Download it again and compare its checksum, or name another directory",
    )
}

/// The header's length, checked against the cap and the file before anything is allocated.
fn header_length(field: [u8; 8], file_bytes: u64) -> Result<u64, String> {
    if file_bytes < LENGTH_BYTES {
        return Err(format!("it has {file_bytes} bytes, fewer than its length field"));
    }
    let length = u64::from_le_bytes(field);
    if length > MAX_HEADER_BYTES {
        return Err(format!(
            "it claims a header of {length} bytes, more than the format's {MAX_HEADER_BYTES}"
        ));
    }
    if length > file_bytes - LENGTH_BYTES {
        return Err(format!(
            "it claims a header of {length} bytes, but only {} follow",
            file_bytes - LENGTH_BYTES
        ));
    }
    Ok(length)
}

/// Turns entries into tensors and checks that they tile the `data_bytes` after `data_offset` exactly.
fn place(
    entries: Vec<(String, Entry)>,
    data_offset: u64,
    data_bytes: u64,
) -> Result<Vec<Tensor>, String> {
    let mut entries = entries;
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("tensor {} is there twice", quoted(&pair[0].0)));
    }
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut expected = 0;
    let mut tensors = Vec::with_capacity(entries.len());
    for (name, Entry { dtype, shape: Shape(shape), data_offsets: (begin, end) }) in entries {
        let name_shown = quoted(&name);
        if begin > end {
            return Err(format!("tensor {name_shown} ends at {end}, before it begins at {begin}"));
        }
        if end > data_bytes {
            return Err(format!(
                "tensor {name_shown} ends at byte {end} of {data_bytes} bytes of data: the file is truncated"
            ));
        }
        if begin < expected {
            return Err(format!("tensor {name_shown} overlaps the one before it at byte {begin}"));
        }
        if begin > expected {
            return Err(format!(
                "there is a hole of {} bytes before tensor {name_shown}",
                begin - expected
            ));
        }
        let element = Element::from(dtype);
        let bytes = element
            .tensor_bytes(&shape)
            .ok_or_else(|| format!("the size of tensor {name_shown} is not a number of bytes"))?;
        if bytes != end - begin {
            return Err(format!(
                "tensor {name_shown} takes {} bytes, but {dtype} {shape:?} needs {bytes}",
                end - begin
            ));
        }
        expected = end;
        tensors.push(Tensor { name, element, shape, offset: data_offset + begin, bytes });
    }
    if expected != data_bytes {
        return Err(format!("{} bytes follow the last tensor", data_bytes - expected));
    }
    Ok(tensors)
}

/// A name from outside, fit for a message: escaped, and cut where it is long.
pub(crate) fn quoted(name: &str) -> String {
    const SHOWN: usize = 80;
    let head: String = name.chars().take(SHOWN).collect();
    if head.len() < name.len() { format!("{head:?}...") } else { format!("{head:?}") }
}

/// One value of the header's JSON object.
#[derive(Deserialize)]
struct Entry {
    dtype: Dtype,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// A shape whose rank is bounded while it is parsed, so that 100 MB of dimensions are not kept.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_RANK} dimensions")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(dim) = seq.next_element()? {
                    if shape.len() == MAX_RANK {
                        return Err(A::Error::custom(format!("more than {MAX_RANK} dimensions")));
                    }
                    shape.push(dim);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(Dimensions)
    }
}

/// Every entry in file order, repeated names included: a map type would lose them.
struct Entries(Vec<(String, Entry)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?; // free text of the file's author
                    } else {
                        let entry = map.next_value().map_err(|e| {
                            A::Error::custom(format!("tensor {}: {e}", quoted(&name)))
                        })?;
                        entries.push((name, entry));
                    }
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
