//! PTX is untrusted text: whatever it says, there is an answer, never a panic and never an endless loop.

use emulator::machine::{GlobalMemory, Hooks, Image, LaunchConfig, launch};
use emulator::ptx::Module;
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;

/// Cases of each property; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
}

/// Texts to start from: the own corpus, and the shared one where it is there.
fn seeds() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/corpus"), root.join("../../shared/ptx-corpus")];
    let files = folders
        .iter()
        .filter_map(|f| std::fs::read_dir(f).ok())
        .flatten()
        .map(|e| e.unwrap().path());
    let mut files: Vec<_> = files.filter(|p| p.extension().is_some_and(|e| e == "ptx")).collect();
    files.sort();
    files
        .iter()
        .map(|p| std::fs::read_to_string(p).unwrap().trim_end_matches('\0').to_owned())
        .collect()
}

static SEEDS: LazyLock<Vec<String>> = LazyLock::new(seeds);

/// Parses and, where that works, runs for a while; any answer will do.
fn survive(text: &str) {
    let Ok(module) = Module::parse(text) else { return };
    let mut memory = GlobalMemory::new(1 << 24);
    let Ok(image) = Image::load(module, &mut memory) else { return };
    for (index, function) in image.module.functions.iter().enumerate() {
        let block = function.required_threads.unwrap_or([32, 1, 1]);
        let config = LaunchConfig { block, step_limit: 3000, seed: 1, ..LaunchConfig::default() };
        let buffer = memory.allocate(1 << 16).unwrap();
        let params: Vec<u8> =
            (0..function.param_bytes as usize).map(|i| buffer.to_le_bytes()[i % 8]).collect();
        // The outcome, fault or not, is the kernel's business.
        let _ = launch(&image, index, &config, &params, &mut memory, &Hooks::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text(text in "\\PC{0,200}") {
        survive(&text);
    }

    #[test]
    fn arbitrary_statements(body in "([a-z]{2,6}(\\.(b32|s32|f32|sync|global|shared|x4|aligned)){0,4} [%r0-9\\[\\]{},+ -]{0,20};\n){0,8}") {
        survive(&format!(".version 8.8 .target sm_90 .address_size 64 .entry k(.param .u64 p) {{ .reg .b32 %r<4>; {body} }}"));
    }

    #[test]
    fn corpus_with_a_damaged_line(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), kind in 0u8..6, value in any::<u32>()) {
        let text = which.get(&SEEDS);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let i = at.index(lines.len());
        let other = lines[value as usize % lines.len()].clone();
        match kind {
            0 => _ = lines.remove(i),
            1 => lines.insert(i, other),
            2 => lines[i] = other,
            3 => lines[i] = lines[i].chars().rev().collect(),
            4 => lines[i] = lines[i].replace(|c: char| c.is_ascii_digit(), &(value % 1000).to_string()),
            _ => lines.truncate(i),
        }
        survive(&lines.join("\n"));
    }

    #[test]
    fn corpus_with_a_damaged_byte(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let mut bytes = which.get(&SEEDS).clone().into_bytes();
        let i = at.index(bytes.len());
        bytes[i] = byte;
        survive(&String::from_utf8(bytes).unwrap());
    }
}

#[test]
fn senseless_sizes_are_refused() {
    let entry =
        |body: &str| format!(".version 8.8 .target sm_90 .address_size 64 .entry k() {{ {body} }}");
    for text in [
        entry(".reg .b32 %r<4000000000>; ret;"),
        entry(".shared .b8 x[4000000000]; ret;"),
        entry(".shared .b8 x[4000000000][4000000000]; ret;"),
        entry(".local .b64 x[4294967295]; ret;"),
        entry(&"{".repeat(10_000)),
        format!("{} .global .b8 x[4000000000][4000000000];", ".version 8.8 .target sm_90"),
        format!("{} .global .b8 x[] = {}", ".version 8.8 .target sm_90", "{".repeat(10_000)),
        entry(&format!("mov.b32 {};", "{".repeat(10_000))),
        entry(".shared .align 3 .b8 x[4]; ret;"),
        ".version 8.8 .entry k(.param .align 64 .b8 p[40000]) { ret; }".to_owned(),
    ] {
        assert!(Module::parse(&text).is_err(), "{}", &text[..text.len().min(120)]);
    }
}
