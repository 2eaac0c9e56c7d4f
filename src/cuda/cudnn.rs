//! Whether cuDNN is installed: recorded with every attention on a GPU. Nothing is measured through it: its attention
//! is a graph that has to be built of its backend's descriptors, which is not done yet, so our figures stand without a
//! vendor's beside them.

use std::sync::OnceLock;

use libloading::Library;

use super::library;

/// Names that the loader may know it by, newest first.
const NAMES: [&str; 3] = ["libcudnn.so.9", "libcudnn.so.8", "libcudnn.so"];

/// For the record: the version that is installed and that it is not measured, or that there is none.
pub fn note() -> &'static str {
    static NOTE: OnceLock<String> = OnceLock::new();
    NOTE.get_or_init(|| {
        // SAFETY: the initialisers of NVIDIA's libraries have no preconditions.
        let open = || NAMES.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
        library::find("libcudnn.so", || open().is_some());
        let Some(library) = open() else {
            return "none found; no attention of it is measured".into();
        };
        // SAFETY: `size_t cudnnGetVersion(void)` (cudnn_version.h); the library is open.
        let number = unsafe {
            library.get::<unsafe extern "C" fn() -> usize>(b"cudnnGetVersion\0").map(|get| get())
        };
        let version = number.map_or_else(|_| "of unknown version".into(), version_of);
        format!("{version} is installed; no attention of it is measured")
    })
}

/// `CUDNN_VERSION` as text: thousands a major version up to 8, ten thousands from 9 on (cudnn_version.h).
fn version_of(number: usize) -> String {
    let major = if number < 10_000 { 1000 } else { 10_000 };
    format!("{}.{}.{}", number / major, number % major / 100, number % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_the_packages_do() {
        assert_eq!([8907, 91_002, 92_100].map(version_of), ["8.9.7", "9.10.2", "9.21.0"]);
    }

    #[test]
    fn there_is_always_something_to_record() {
        assert!(note().ends_with("no attention of it is measured"), "{}", note());
    }
}
