//! The ways of loading a set, disk to RAM, that are compared.

use std::fs::File;
use std::time::Instant;

use super::prepared::{POISON, Prepared, open_direct, shrank};
use crate::storage::layout::directory::{header_of_content, read_header};
use crate::storage::layout::header::open_regular;
use crate::storage::read::{mapped::Mapping, pread};
use crate::{Error, Result};

/// How a set is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// io_uring past the page cache; blocking direct reads in threads where io_uring is forbidden.
    Direct,
    /// One thread of `pread` through the page cache.
    Buffered,
    /// The lazy loader of safetensors: `mmap`, then every page of every tensor touched.
    Mapped,
}

/// Seconds of the parts of one load.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stages {
    /// Opening every shard and parsing its header.
    pub open_parse_s: f64,
    /// Bringing every byte into memory.
    pub read_s: f64,
}

/// What a load left in memory.
pub enum Loaded {
    /// In the shared memory, where [`Prepared::cut`] says.
    Memory,
    /// In the page cache, one mapping a shard.
    Mapped(Vec<Mapping>),
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Buffered, Self::Mapped];

    /// Last segment of the metric's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "io_uring-direct",
            Self::Buffered => "buffered",
            Self::Mapped => "mmap",
        }
    }

    /// Which code runs.
    pub fn path(self, prepared: &Prepared) -> String {
        match self {
            Self::Direct => prepared.reader.borrow().path(),
            Self::Buffered => "pread/buffered".into(),
            Self::Mapped => "mmap/touch by tensor".into(),
        }
    }

    /// Loads the whole set once.
    ///
    /// # Errors
    /// When a shard can't be opened or read, or is no longer what it was; what was loaded then must not be used.
    pub fn load(self, prepared: &Prepared) -> Result<(Stages, Loaded)> {
        match self {
            Self::Direct => Ok((read_then_parse(prepared)?, Loaded::Memory)),
            Self::Buffered => buffered(prepared),
            Self::Mapped => mapped(prepared),
        }
    }
}

fn buffered(prepared: &Prepared) -> Result<(Stages, Loaded)> {
    let (files, stages) = open_and_parse(prepared, false)?;
    let clock = Instant::now();
    let memory = &mut prepared.memory.borrow_mut();
    let read = pread::read(&files, &prepared.cut.blocks, memory, 1, 1);
    read.map_err(|fault| prepared.explain(fault))?;
    Ok((Stages { read_s: clock.elapsed().as_secs_f64(), ..stages }, Loaded::Memory))
}

fn mapped(prepared: &Prepared) -> Result<(Stages, Loaded)> {
    let (files, stages) = open_and_parse(prepared, false)?;
    let clock = Instant::now();
    let mut mappings = Vec::with_capacity(files.len());
    for (shard, file) in prepared.set.shards.iter().zip(&files) {
        let bytes = shard.header.file_bytes;
        let mapped = Mapping::new(file, bytes).and_then(|mapping| {
            mapping.touch_tensors(&shard.header.tensors)?;
            Ok(mapping)
        });
        mappings.push(mapped.map_err(|e| {
            if shard.path.metadata().is_ok_and(|m| m.len() != bytes) {
                shrank(&shard.path, bytes)
            } else {
                Error::path("read the mapping of", &shard.path, e)
            }
        })?);
    }
    Ok((Stages { read_s: clock.elapsed().as_secs_f64(), ..stages }, Loaded::Mapped(mappings)))
}

/// Opens every shard, reads all of it and parses the headers where they have arrived: what is read does not depend on
/// what is in a header, so reading it before the rest would only cost a small read of a cold file a shard.
fn read_then_parse(prepared: &Prepared) -> Result<Stages> {
    let clock = Instant::now();
    let mut files = Vec::with_capacity(prepared.set.shards.len());
    for shard in &prepared.set.shards {
        let file = open_direct(&shard.path)?;
        let now = file.metadata().map_err(|e| Error::path("examine", &shard.path, e))?.len();
        if now != shard.header.file_bytes {
            return Err(shrank(&shard.path, shard.header.file_bytes));
        }
        files.push(file);
    }
    let open_s = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    prepared.read(&files, &prepared.cut.blocks)?;
    let read_s = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    let memory = prepared.memory.borrow();
    for (shard, &at) in prepared.set.shards.iter().zip(&prepared.cut.placements) {
        let content = &memory.as_slice::<u8>()[at..at + shard.header.file_bytes as usize];
        if header_of_content(content, &shard.path)? != shard.header {
            return Err(Error::input(
                format!("{} has another header than when the load began", shard.path.display()),
                "Load again when nothing else writes to the directory",
            ));
        }
    }
    Ok(Stages { open_parse_s: open_s + clock.elapsed().as_secs_f64(), read_s })
}

/// Opens every shard of the set and parses its header, as loads do that place tensors while they arrive.
///
/// # Errors
/// When a shard can't be opened, or is no longer what it was.
pub fn open_and_parse(prepared: &Prepared, direct: bool) -> Result<(Vec<File>, Stages)> {
    let clock = Instant::now();
    let mut files = Vec::with_capacity(prepared.set.shards.len());
    for shard in &prepared.set.shards {
        if read_header(&shard.path)?.file_bytes != shard.header.file_bytes {
            return Err(shrank(&shard.path, shard.header.file_bytes));
        }
        files.push(if direct { open_direct(&shard.path)? } else { open_regular(&shard.path)? });
    }
    let open_parse_s = clock.elapsed().as_secs_f64();
    Ok((files, Stages { open_parse_s, read_s: 0.0 }))
}

impl Loaded {
    /// Hands the content of shard `index` to `check`.
    ///
    /// # Errors
    /// When a mapped page is gone.
    pub fn shard<R>(
        &self,
        prepared: &Prepared,
        index: usize,
        check: impl FnOnce(&[u8]) -> R,
    ) -> Result<R> {
        match self {
            Self::Memory => {
                let (memory, at) = (prepared.memory.borrow(), prepared.cut.placements[index]);
                let bytes = prepared.set.shards[index].header.file_bytes as usize;
                Ok(check(&memory.as_slice::<u8>()[at..at + bytes]))
            }
            Self::Mapped(mappings) => mappings[index].with(check).map_err(|e| {
                Error::path("read the mapping of", &prepared.set.shards[index].path, e)
            }),
        }
    }
}

/// Makes sure that what memory holds after the next load was put there by it.
pub fn poison(prepared: &Prepared) {
    prepared.memory.borrow_mut().as_mut_slice::<u8>().fill(POISON);
}
