//! One GGUF file's header: which tensor lies where. No tensor data is read.
//!
//! Format (`docs/gguf.md` of ggml-org/ggml), little endian: `GGUF`, version, number of tensors, number of key-value
//! pairs; the pairs; the tensors' names, shapes, types and offsets; then, aligned, their data. For the layout values are
//! skipped except for the alignment; [`metadata`] reads those that tell the model's shapes. The file comes from outside: every count is bounded by the bytes that are left, and the
//! header by [`MAX_HEADER_BYTES`], before anything is allocated or looped over.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::ggml::{element, scalar_bytes};
use super::header::{Header, open_regular, quoted};
use super::tensor::Tensor;
use crate::{Error, Result};

/// Longest header in bytes that is accepted; the largest published ones (tokenizers of 200,000 entries) have about
/// 20 MB.
const MAX_HEADER_BYTES: u64 = 1 << 28;

/// Versions with this layout of counts.
const VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// Alignment of tensors unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
const MAX_DIMENSIONS: u32 = 4;

/// Fewest bytes that describe a tensor: empty name, no dimension, type and offset.
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// Deepest nesting of arrays in arrays.
const MAX_NESTING: u32 = 4;

/// What is wrong with the file, or why it can't be read.
enum Fault {
    Malformed(String),
    Io(std::io::Error),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads and checks the header of the regular file `path`.
///
/// # Errors
/// When the file can't be read, or is not a well-formed GGUF file with all its data.
pub fn read(path: &Path) -> Result<Header> {
    read_from(&open_regular(path)?, path)
}

/// [`read`] on an open file; `path` is for messages.
///
/// # Errors
/// As for [`read`].
pub fn read_from(file: &File, path: &Path) -> Result<Header> {
    let file_bytes = file.metadata().map_err(|e| Error::path("examine", path, e))?.len();
    let parsed = file.try_clone().map_err(Fault::Io).and_then(|file| {
        use std::io::Seek;
        let mut file = file;
        file.rewind()?;
        parse(BufReader::new(file), file_bytes)
    });
    parsed.map_err(|fault| explain(fault, path))
}

/// [`read`] of a file whose whole content is in memory; `path` is for messages.
///
/// # Errors
/// As for [`read`].
pub fn of_content(content: &[u8], path: &Path) -> Result<Header> {
    parse(content, content.len() as u64).map_err(|fault| explain(fault, path))
}

fn explain(fault: Fault, path: &Path) -> Error {
    match fault {
        Fault::Malformed(what) => malformed(path, &what),
        Fault::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            malformed(path, "it ends in the middle of its header")
        }
        Fault::Io(e) => Error::path("read the header of", path, e),
    }
}

fn malformed(path: &Path, what: &str) -> Error {
    Error::input(
        format!("{} is not a usable GGUF file: {what}", path.display()),
        "Download it again and compare its checksum, or name another directory",
    )
}

/// A value of a key-value pair.
#[derive(Debug, Clone, PartialEq)]
pub enum Meta {
    /// A whole number that is not negative.
    Number(u64),
    /// A text.
    Text(String),
    /// An array of so many values.
    Length(u64),
}

/// Longest text of a pair that is kept, in bytes: templates and licences are longer.
const MAX_TEXT_BYTES: usize = 256;

/// The key-value pairs of the GGUF file `path` that are whole numbers, short texts or arrays, of these the length.
///
/// # Errors
/// When the file can't be read, or does not begin with a well-formed GGUF header.
pub fn metadata(path: &Path) -> Result<BTreeMap<String, Meta>> {
    let file = open_regular(path)?;
    let file_bytes = file.metadata().map_err(|e| Error::path("examine", path, e))?.len();
    pairs(BufReader::new(file), file_bytes).map_err(|fault| explain(fault, path))
}

fn pairs(source: impl Read, file_bytes: u64) -> Result<BTreeMap<String, Meta>, Fault> {
    let mut input = Input { source, at: 0, end: file_bytes.min(MAX_HEADER_BYTES) };
    let (_, pair_count) = start(&mut input)?;
    let mut pairs = BTreeMap::new();
    for _ in 0..pair_count {
        let key = input.string()?;
        let kind = input.u32()?;
        if let Some(value) = input.value(kind)? {
            pairs.insert(key, value);
        }
    }
    Ok(pairs)
}

/// Reads up to the pairs: the number of tensors and of pairs.
fn start<R: Read>(input: &mut Input<R>) -> Result<(u64, u64), Fault> {
    if &input.bytes::<4>()? != b"GGUF" {
        return Err(Fault::Malformed("it does not start with GGUF".into()));
    }
    let version = input.u32()?;
    if !VERSIONS.contains(&version) {
        return Err(Fault::Malformed(format!(
            "it has version {version}; versions 2 and 3 in little endian are known"
        )));
    }
    Ok((input.u64()?, input.u64()?))
}

/// Parses the header at the start of `source`, which belongs to a file of `file_bytes`.
fn parse(source: impl Read, file_bytes: u64) -> Result<Header, Fault> {
    let mut input = Input { source, at: 0, end: file_bytes.min(MAX_HEADER_BYTES) };
    let bad = |what: String| Err(Fault::Malformed(what));
    let (tensor_count, pair_count) = start(&mut input)?;
    let mut alignment = DEFAULT_ALIGNMENT;
    for _ in 0..pair_count {
        let key = input.string()?;
        let kind = input.u32()?;
        if key == "general.alignment" {
            alignment = match kind {
                4 => u64::from(input.u32()?),
                _ => return bad("general.alignment is not a u32".into()),
            };
        } else {
            input.skip_value(kind, 0)?;
        }
    }
    if alignment == 0 || !alignment.is_multiple_of(8) {
        return bad(format!("its alignment of {alignment} is not a multiple of 8"));
    }
    if tensor_count > input.left() / MIN_TENSOR_BYTES {
        return bad(format!("it claims {tensor_count} tensors in {} bytes", input.left()));
    }
    let mut tensors = Vec::new();
    for _ in 0..tensor_count {
        tensors.push(input.tensor()?);
    }
    place(tensors, input.at, file_bytes, alignment).map_err(Fault::Malformed)
}

/// Makes offsets absolute and checks that the tensors follow each other inside the file.
fn place(
    mut tensors: Vec<Tensor>,
    header_bytes: u64,
    file_bytes: u64,
    alignment: u64,
) -> Result<Header, String> {
    let data_offset = header_bytes.next_multiple_of(alignment);
    let mut names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("tensor {} is there twice", quoted(pair[0])));
    }
    tensors.sort_by_key(|t| (t.offset, t.bytes));
    let mut end = 0_u64;
    for tensor in &mut tensors {
        let name = quoted(&tensor.name);
        let begin = tensor.offset;
        if !begin.is_multiple_of(alignment) {
            return Err(format!(
                "tensor {name} begins at {begin}, not at a multiple of {alignment}"
            ));
        }
        if begin < end {
            return Err(format!("tensor {name} overlaps the one before it at byte {begin}"));
        }
        if begin - end >= alignment {
            return Err(format!("there is a hole of {} bytes before tensor {name}", begin - end));
        }
        tensor.offset = data_offset.checked_add(begin).ok_or("an offset overflows")?;
        let last = tensor.offset.checked_add(tensor.bytes).filter(|&last| last <= file_bytes);
        if last.is_none() {
            return Err(format!(
                "tensor {name} ends beyond the {file_bytes} bytes of the file: it is truncated"
            ));
        }
        end = begin + tensor.bytes;
    }
    Ok(Header { data_offset: data_offset.min(file_bytes), file_bytes, tensors })
}

/// The header as a stream that knows how much may still come.
struct Input<R> {
    source: R,
    at: u64,
    end: u64,
}

impl<R: Read> Input<R> {
    fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Accounts for `count` bytes that are about to be read.
    fn claim(&mut self, count: u64) -> Result<(), Fault> {
        if count > self.left() {
            let what = format!("its header asks for {count} bytes where {} are left", self.left());
            return Err(Fault::Malformed(what));
        }
        self.at += count;
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.claim(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn string(&mut self) -> Result<String, Fault> {
        let length = self.u64()?;
        self.claim(length)?;
        let mut bytes = vec![0; length as usize];
        self.source.read_exact(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| Fault::Malformed("a name is not UTF-8".into()))
    }

    fn skip(&mut self, count: u64) -> Result<(), Fault> {
        self.claim(count)?;
        let skipped = std::io::copy(&mut (&mut self.source).take(count), &mut std::io::sink())?;
        if skipped < count {
            Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
        } else {
            Ok(())
        }
    }

    /// A value of type `kind`, where it is of a sort that is kept.
    fn value(&mut self, kind: u32) -> Result<Option<Meta>, Fault> {
        // u8, u16, u32 and u64; then i32 and i64, of which negative ones tell nothing here.
        let number = match kind {
            0 => u64::from(self.bytes::<1>()?[0]),
            2 => u64::from(u16::from_le_bytes(self.bytes()?)),
            4 => u64::from(self.u32()?),
            10 => self.u64()?,
            5 => {
                return Ok(u64::try_from(i32::from_le_bytes(self.bytes()?)).ok().map(Meta::Number));
            }
            11 => {
                return Ok(u64::try_from(i64::from_le_bytes(self.bytes()?)).ok().map(Meta::Number));
            }
            8 => {
                let text = self.string()?;
                return Ok((text.len() <= MAX_TEXT_BYTES).then_some(Meta::Text(text)));
            }
            9 => {
                let (inner, count) = (self.u32()?, self.u64()?);
                match scalar_bytes(inner) {
                    Some(bytes) => self.skip(count.saturating_mul(bytes))?,
                    None => (0..count).try_for_each(|_| self.skip_value(inner, 1))?,
                }
                return Ok(Some(Meta::Length(count)));
            }
            other => return self.skip_value(other, 0).map(|()| None),
        };
        Ok(Some(Meta::Number(number)))
    }

    /// Passes over a value of type `kind`.
    fn skip_value(&mut self, kind: u32, nesting: u32) -> Result<(), Fault> {
        match kind {
            8 => {
                let length = self.u64()?;
                self.skip(length)
            }
            9 if nesting < MAX_NESTING => {
                let (kind, count) = (self.u32()?, self.u64()?);
                if let Some(bytes) = scalar_bytes(kind) {
                    return self.skip(count.saturating_mul(bytes));
                }
                // Every string and array takes at least 8 bytes, so the bytes that are left bound the loop.
                for _ in 0..count {
                    self.skip_value(kind, nesting + 1)?;
                }
                Ok(())
            }
            _ => match scalar_bytes(kind) {
                Some(bytes) => self.skip(bytes),
                None => Err(Fault::Malformed(format!("a value has the unknown type {kind}"))),
            },
        }
    }

    fn tensor(&mut self) -> Result<Tensor, Fault> {
        let name = self.string()?;
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            let what = format!(
                "tensor {} has {dimensions} dimensions, more than {MAX_DIMENSIONS}",
                quoted(&name)
            );
            return Err(Fault::Malformed(what));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        shape.reverse(); // innermost first in the file
        let kind = self.u32()?;
        let offset = self.u64()?;
        let element = element(kind).ok_or_else(|| {
            Fault::Malformed(format!("tensor {} has the unknown type {kind}", quoted(&name)))
        })?;
        let whole_rows = shape.last().is_none_or(|row| row.is_multiple_of(element.elements));
        match element.tensor_bytes(&shape).filter(|_| whole_rows) {
            Some(bytes) => Ok(Tensor { name, element, shape, offset, bytes }),
            None => {
                let what = format!(
                    "the size of tensor {} is not a number of {} blocks",
                    quoted(&name),
                    element.name
                );
                Err(Fault::Malformed(what))
            }
        }
    }
}

#[cfg(test)]
#[path = "gguf_tests.rs"]
mod tests;
