//! How large the memory is that a loop or a cycle goes over: beyond the caches, or what the user asks for.
//!
//! Four times the last-level caches are enough to be cold, but not to show what address translation costs at the sizes of
//! real models: `HOSTDYNO_DRAM_SIZE=16GiB` does. What does not fit is refused before anything is allocated.

use crate::host::Root;
use crate::host::pages::{self, HUGE};
use crate::{Error, Result};

/// Environment variable: bytes of one stream, and of the cycles of latency.
pub const VARIABLE: &str = "HOSTDYNO_DRAM_SIZE";

/// What the user asks for; `None` when nothing is.
///
/// # Errors
/// [`Error::Input`] when it is no size, less than a huge page, or more than is free.
pub fn requested() -> Result<Option<usize>> {
    let text = std::env::var_os(VARIABLE).map(|text| text.to_string_lossy().into_owned());
    match text.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => check(text, pages::available(&Root::host())).map(Some),
    }
}

/// `text` as a size that fits into `free` bytes.
fn check(text: &str, free: Option<u64>) -> Result<usize> {
    let refuse = |why: &str| {
        let next = format!("Set {VARIABLE} to a size such as 4GiB, or unset it");
        Err(Error::input(format!("{VARIABLE}={text} {why}"), next))
    };
    let Some(bytes) = parse(text) else { return refuse("is no size") };
    if bytes < HUGE {
        return refuse("is less than 2 MiB, one huge page");
    }
    match free {
        Some(free) if bytes as u64 > free => refuse(&format!(
            "is more than the {:.1} GiB of free memory",
            free as f64 / f64::from(1u32 << 30)
        )),
        _ => Ok(bytes),
    }
}

/// `16GiB`, `512M`, `1000000`: binary units, with or without `iB`.
fn parse(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim().to_ascii_uppercase();
    let power = match unit.trim_end_matches("IB").trim_end_matches('B') {
        "" if unit != "IB" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in [
            ("4194304", 4 << 20),
            ("4M", 4 << 20),
            ("4 MiB", 4 << 20),
            ("16GiB", 16 << 30),
            ("16gb", 16 << 30),
            ("2T", 2 << 40),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
        for text in
            ["", "G", "4X", "-4G", "4.5G", "iB", "4iB", "99999999999999999999G", "16777216T"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_advice() {
        const FREE: Option<u64> = Some(8 << 30);
        assert_eq!(check("8GiB", FREE).unwrap(), 8 << 30);
        for (text, why) in [
            ("9GiB", "more than the 8.0 GiB"),
            ("16383P", "no size"),
            ("1M", "less than 2 MiB"),
            ("0", "less than 2 MiB"),
            ("lots", "no size"),
        ] {
            let error = check(text, FREE).unwrap_err();
            assert!(matches!(error, Error::Input { .. }), "{text}");
            assert!(
                error.to_string().contains(why) && error.to_string().contains(VARIABLE),
                "{error}"
            );
        }
        assert_eq!(check("9GiB", None).unwrap(), 9 << 30);
    }
}
