//! Where the kernel's files are: `/` on a host, a directory of made-up files in tests.
//!
//! Everything that reads sysfs, procfs, `/etc` or `/run` goes through [`Root`], so that each reader can be shown
//! hosts that this one is not: files that are absent, denied or garbled included. Nothing is ever written.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::list;

/// A readable attribute is at most this long; longer files are cut here. Sized for `/proc/cpuinfo` of 1,024 CPUs.
const LONGEST: u64 = 4 << 20;

/// What reading one file gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// Its text, surrounding white space removed.
    Text(String),
    /// There is no such file.
    Absent,
    /// The kernel refused: permission, or an attribute that the driver does not answer.
    Denied(String),
    /// It is no text, or the device failed to give it.
    Garbled(String),
}

impl Reading {
    /// The text, if there is one.
    pub fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The directory that `/proc`, `/sys`, `/etc` and `/run` are looked up in.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// This host.
    pub fn host() -> Self {
        Self("/".into())
    }

    /// A directory that stands for a host's root.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Whether this is the running host, whose system calls may be trusted to speak about it.
    pub fn is_host(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where `path`, absolute as users know it, is to be found.
    pub fn join(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Reads a file that has to be text.
    pub fn read(&self, path: &str) -> Reading {
        use std::io::Read;
        let mut bytes = Vec::new();
        let read = std::fs::File::open(self.join(path))
            .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes));
        match read {
            Ok(_) => match String::from_utf8(bytes) {
                Ok(text) if !text.contains('\0') => Reading::Text(text.trim().to_owned()),
                _ => Reading::Garbled("not text".into()),
            },
            Err(e) => match e.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Reading::Absent,
                ErrorKind::PermissionDenied => Reading::Denied(e.to_string()),
                // Attributes whose driver has nothing to tell answer with these.
                _ if matches!(
                    e.raw_os_error(),
                    Some(libc::EPERM | libc::EACCES | libc::EOPNOTSUPP | libc::ENODATA)
                ) =>
                {
                    Reading::Denied(e.to_string())
                }
                _ => Reading::Garbled(e.to_string()),
            },
        }
    }

    /// Reads one number.
    pub fn number(&self, path: &str) -> Option<u64> {
        self.read(path).text()?.parse().ok()
    }

    /// Reads a list of CPUs or nodes.
    pub fn list(&self, path: &str) -> Option<Vec<usize>> {
        list::parse(&self.read(path).text()?)
    }

    /// Names in a directory, sorted as people count (`cpu2` before `cpu10`); empty when it can't be listed.
    pub fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.join(path))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort_by_cached_key(|name| {
            let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
            (name[..name.len() - digits.len()].to_owned(), digits.len(), name.clone())
        });
        names
    }

    /// Whether there is something at `path`.
    pub fn exists(&self, path: &str) -> bool {
        self.join(path).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_tell_absent_from_garbled() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ok"), " 12 \n").unwrap();
        std::fs::write(dir.path().join("bad"), [0xff, 0xfe]).unwrap();
        std::fs::write(dir.path().join("nul"), b"a\0b").unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        let root = Root::at(dir.path());
        assert_eq!(root.read("/ok"), Reading::Text("12".into()));
        assert_eq!(root.number("ok"), Some(12));
        assert_eq!(root.read("/none"), Reading::Absent);
        assert_eq!(root.read("/ok/below"), Reading::Absent);
        assert!(matches!(root.read("/bad"), Reading::Garbled(_)));
        assert!(matches!(root.read("/nul"), Reading::Garbled(_)));
        assert!(matches!(root.read("/dir"), Reading::Garbled(_)));
    }

    #[test]
    fn names_are_sorted_as_people_count() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cpu10", "cpu2", "cpufreq", "cpu0"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert_eq!(Root::at(dir.path()).names("/"), ["cpu0", "cpu2", "cpu10", "cpufreq"]);
    }
}
