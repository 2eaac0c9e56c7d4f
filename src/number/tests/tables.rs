//! Against tables written by another implementation, where they are at hand beside the checkout.

use std::path::PathBuf;

use half::bf16;
use safetensors::SafeTensors;

use crate::number::*;

/// The folder of tables, or `None`, said aloud, where there is none.
fn tables() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/number-tables");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("no tables at {}: not compared", folder.display());
    None
}

#[test]
fn every_code_agrees_with_the_table() {
    let Some(folder) = tables() else { return };
    let text = std::fs::read_to_string(folder.join("decode.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    type Decode = fn(u8) -> f32;
    let formats: [(&str, usize, Decode); 4] = [
        ("e4m3fn", 256, |code| E4M3.decode(code)),
        ("e5m2", 256, |code| E5M2.decode(code)),
        ("e8m0fnu", 256, decode_e8m0),
        ("e2m1fn", 16, |code| E2M1.decode(code)),
    ];
    for (name, count, decode) in formats {
        let values = json[name].as_array().unwrap();
        assert_eq!(values.len(), count, "{name}");
        for (code, value) in values.iter().enumerate() {
            // Infinities and NaN are strings, which Rust's parser of f64 reads.
            let value = value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap());
            let decoded = f64::from(decode(code as u8));
            let same = decoded.to_bits() == value.to_bits() || decoded.is_nan() && value.is_nan();
            assert!(same, "{name} {code:#x}: {decoded} instead of {value}");
        }
    }
}

#[test]
fn every_bf16_encodes_as_the_table_says() {
    let Some(folder) = tables() else { return };
    let bytes = std::fs::read(folder.join("encode.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, codec) in [("e4m3fn", E4M3), ("e5m2", E5M2), ("e2m1fn", E2M1)] {
        let table = tensors.tensor(&format!("bf16_to_{name}_satfinite")).unwrap();
        assert_eq!(table.data().len(), 1 << 16);
        for (bits, &expected) in (0..=u16::MAX).zip(table.data()) {
            let code = codec.encode(bf16::from_bits(bits).to_f32());
            assert_eq!(code, expected, "{name} of bf16 {bits:#06x}");
        }
    }
}
