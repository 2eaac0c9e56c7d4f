//! How a model's weights are stored: a format, or the bits a weight that a mix of formats comes to.
//!
//! Engines store routed experts in fewer bits than the rest, so each of the two has its own storage here. Bits count
//! scales and minima.

use serde::Serialize;

use super::Model;
use super::work::Class;
use crate::number::Format;
use crate::{Error, Result};

/// How the weights of one class are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Storage {
    /// One of the formats that hostdyno computes in, with its scales.
    Format(Format),
    /// So many bits a weight, scales included.
    Bits(f64),
}

impl Storage {
    /// Bytes of one row of `columns` weights.
    pub fn row_bytes(self, columns: usize) -> f64 {
        match self {
            Self::Format(format) => format.stored_row_bytes(columns) as f64,
            Self::Bits(bits) => columns as f64 * bits / 8.0,
        }
    }
}

/// How a whole model is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mix {
    /// As the user named it.
    pub name: String,
    /// The routed experts.
    #[serde(skip)]
    pub routed: Storage,
    /// All else.
    #[serde(skip)]
    pub other: Storage,
    /// What is assumed about the split, where the mix's name does not tell.
    pub assumed: Option<String>,
}

/// Bits a weight over a whole file. Block types are exact (`ggml-common.h` of ggml-org/ggml); mixes are the size of
/// published files over their weights: DeepSeek-R1/V3 for q4_k_m and the `ud-` ones (facts of kvcache-ai/ktransformers
/// and of ubergarm/r1-ktransformers-guide), Llama-2-70B for the others (`examples/quantize/README.md` of
/// ggml-org/llama.cpp).
const GGUF: [(&str, f64); 22] = [
    ("f16", 16.0),
    ("q8_0", 8.5),
    ("q6_k", 6.5625),
    ("q5_k_m", 5.65),
    ("q5_k_s", 5.50),
    ("q5_0", 5.5),
    ("q4_k_m", 4.85),
    ("q4", 4.85),
    ("ud-q4_k_xl", 4.58),
    ("q4_k_s", 4.53),
    ("q4_0", 4.5),
    ("iq4_nl", 4.5),
    ("iq4_xs", 4.25),
    ("q3_k_m", 3.85),
    ("iq3_s", 3.4375),
    ("q2_k", 3.40),
    ("iq3_xxs", 3.0625),
    ("ud-q2_k_xl", 2.71),
    ("iq2_s", 2.5625),
    ("iq2_xs", 2.3125),
    ("iq2_xxs", 2.0625),
    ("iq1_s", 1.5625),
];

/// Below so many bits a weight in the mean, mixes keep what every token reads in [`KEPT_BITS`].
const LOW_BITS: f64 = 4.0;
/// Bits of what every token reads in a mix of low bits: between the Q4_K and Q6_K that such files use for it.
const KEPT_BITS: f64 = 5.0;

impl Mix {
    /// Everything in `format`.
    pub fn uniform(format: Format) -> Self {
        let storage = Storage::Format(format);
        Self { name: format.name().into(), routed: storage, other: storage, assumed: None }
    }

    /// A mix of `bits` a weight in the mean of all of `model`.
    pub fn of_mean(name: &str, bits: f64, model: &Model) -> Self {
        let all = model.parameters() as f64;
        let routed = model.parameters_of(Class::RoutedExperts) as f64;
        let left =
            if routed > 0.0 { (bits * all - KEPT_BITS * (all - routed)) / routed } else { 0.0 };
        let (routed, other, assumed) = if bits < LOW_BITS && left > 0.0 {
            let why = format!(
                "{name}: {bits} bits a weight are the mean of the file; {KEPT_BITS} bits for all but routed experts \
                 leave {left:.2} for these"
            );
            (left, KEPT_BITS, Some(why))
        } else {
            let why =
                format!("{name}: the mean of the file, {bits} bits a weight, for every tensor");
            (bits, bits, (routed > 0.0).then_some(why))
        };
        let (routed, other) = (Storage::Bits(routed), Storage::Bits(other));
        Self { name: name.to_owned(), routed, other, assumed }
    }

    /// `model` in what `name` says: a format, a GGUF mix, bits a weight (`4.5`), or `ROUTED/OTHER` of these
    /// (`mxfp4/bf16`).
    ///
    /// # Errors
    /// An unknown name; the error lists those that are known.
    pub fn parse(name: &str, model: &Model) -> Result<Self> {
        let lower = name.trim().to_ascii_lowercase();
        let whole = |part: &str| -> Option<Self> {
            if let Some(format) = Format::ALL.into_iter().find(|f| f.name() == part) {
                return Some(Self::uniform(format));
            }
            if let Some((mix, bits)) = GGUF.iter().find(|(mix, _)| *mix == part) {
                return Some(Self::of_mean(mix, *bits, model));
            }
            let bits: f64 = part.parse().ok()?;
            let storage = Storage::Bits(bits);
            let mix = Self { name: lower.clone(), routed: storage, other: storage, assumed: None };
            (0.5..=32.0).contains(&bits).then_some(mix)
        };
        let mix = match lower.split_once('/') {
            None => whole(&lower),
            Some((routed, other)) => whole(routed).zip(whole(other)).map(|(routed, other)| Self {
                name: lower.clone(),
                routed: routed.routed,
                other: other.other,
                assumed: None,
            }),
        };
        mix.ok_or_else(|| {
            Error::input(
                format!("{name:?} is no format of weights"),
                format!(
                    "Use one of {}; or bits a weight, such as 4.5; or two of them for routed experts and the rest, \
                     such as mxfp4/bf16",
                    Self::names().join(", ")
                ),
            )
        })
    }

    /// Names that [`Self::parse`] knows.
    pub fn names() -> Vec<&'static str> {
        let formats = Format::ALL.into_iter().map(Format::name);
        formats.chain(GGUF.iter().map(|(name, _)| *name)).collect()
    }

    /// How `class` is stored.
    pub const fn of(&self, class: Class) -> Storage {
        match class {
            Class::RoutedExperts => self.routed,
            _ => self.other,
        }
    }
}
