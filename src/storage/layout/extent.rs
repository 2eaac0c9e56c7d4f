//! A byte range of one of several files.

/// A byte range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Index of the file.
    pub file: usize,
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// Joins neighbours that touch, so that they are read as one.
pub fn joined(extents: impl IntoIterator<Item = Extent>) -> Vec<Extent> {
    let mut joined: Vec<Extent> = Vec::new();
    for next in extents {
        match joined.last_mut() {
            Some(last) if last.file == next.file && last.offset + last.bytes == next.offset => {
                last.bytes += next.bytes;
            }
            _ => joined.push(next),
        }
    }
    joined
}
