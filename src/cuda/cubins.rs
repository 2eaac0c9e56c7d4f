//! Compiled kernels kept on disk, so that only the first run on a host waits for the compiler.
//!
//! They lie in `$XDG_CACHE_HOME/hostdyno`, else in `~/.cache/hostdyno`; without either nothing is kept. A file's name is
//! the hash of all that the machine code depends on: the whole source with its constants and headers, the compiler's
//! options, the architecture among them, and its version. Its contents start with a hash of the rest: a file that was cut short or changed is compiled
//! again. What can't be read or written is no error, only a kernel that is compiled. The directory may be deleted.

use std::io::Write;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::kernels::Build;
use super::nvrtc::{self, Compiled};
use crate::Result;

/// `build` for `architecture`, from the disk where it is there.
///
/// # Errors
/// As [`nvrtc::compile`].
pub fn compiled(build: &Build, architecture: &str) -> Result<Compiled> {
    let Some(directory) = directory() else { return nvrtc::compile(build, architecture) };
    let file = directory.join(name(build, architecture, nvrtc::version()?));
    if let Some(kept) = std::fs::read(&file).ok().and_then(|bytes| unpack(&bytes)) {
        return Ok(kept);
    }
    let compiled = nvrtc::compile(build, architecture)?;
    // A host whose cache can't be written compiles each time, as if there were no cache.
    let _ = keep(&directory, &file, &compiled);
    Ok(compiled)
}

fn directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("hostdyno"))
}

fn name(build: &Build, architecture: &str, (major, minor): (i32, i32)) -> String {
    let options = nvrtc::options(architecture).join(" ");
    let all = format!("{major}.{minor} {options}\n{}", build.source());
    format!("{}-{architecture}-{:032x}", build.kernel.entry, xxh3_128(all.as_bytes()))
}

/// Writes to a file of another name first: who reads at the same time sees all of it or nothing.
fn keep(directory: &Path, file: &Path, compiled: &Compiled) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut new = tempfile::NamedTempFile::new_in(directory)?;
    new.write_all(&pack(compiled))?;
    new.persist(file)?;
    Ok(())
}

/// Hash of the rest, length of the PTX, PTX, machine code.
fn pack(compiled: &Compiled) -> Vec<u8> {
    let Compiled { ptx, cubin } = compiled;
    let rest = [&(ptx.len() as u64).to_le_bytes()[..], ptx.as_bytes(), &cubin[..]].concat();
    [&xxh3_128(&rest).to_le_bytes()[..], &rest[..]].concat()
}

/// `None` when the bytes are not what [`pack`] wrote.
fn unpack(bytes: &[u8]) -> Option<Compiled> {
    let (hash, rest) = bytes.split_first_chunk()?;
    if u128::from_le_bytes(*hash) != xxh3_128(rest) {
        return None;
    }
    let (length, rest) = rest.split_first_chunk()?;
    let (ptx, cubin) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some(Compiled { ptx: String::from_utf8(ptx.to_vec()).ok()?, cubin: cubin.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::kernels::{EMPTY, GATE};

    #[test]
    fn what_is_kept_comes_back_unless_it_was_changed() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("of/kernel");
        let compiled = Compiled { ptx: ".version 9.0".into(), cubin: vec![0x7f, b'E', 0, 255] };
        keep(&directory.path().join("of"), &file, &compiled).expect("written");
        let bytes = std::fs::read(&file).expect("there");
        let kept = unpack(&bytes).expect("whole");
        assert_eq!((kept.ptx, kept.cubin), (compiled.ptx, compiled.cubin));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(unpack(&changed).is_none() && unpack(&bytes[..at]).is_none(), "{at}");
        }
    }

    #[test]
    fn names_differ_where_machine_code_may() {
        let name = |build: Build, architecture, version| name(&build, architecture, version);
        let all = [
            name(EMPTY.into(), "sm_80", (13, 0)),
            name(GATE.into(), "sm_80", (13, 0)),
            name(EMPTY.with([("N", 1)]), "sm_80", (13, 0)),
            name(EMPTY.into(), "sm_89", (13, 0)),
            name(EMPTY.into(), "sm_80", (13, 1)),
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(name(EMPTY.into(), "sm_80", (13, 0)), all[0]);
    }
}
