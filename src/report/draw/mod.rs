//! Pictures as SVG: [`heat_map`] of a matrix, [`curve`]s over an axis, the [`topology`] of a host.
//!
//! Lines and text take the colour of the text around them (`currentColor`), and nothing is painted behind, so that a
//! picture fits into a page of any theme and also stands alone in a file. Every cell and point tells its value when
//! pointed at. Numbers and names come from records, which are outside input: what is not finite is left out, and no
//! name can add markup.

mod curve;
mod heat_map;
mod ticks;
mod topology;

use svg::Document;
use svg::node::element::{Text, Title};

use super::terminal::printable;

pub use curve::curve;
pub use heat_map::heat_map;
pub use topology::topology;

/// Pixels of text.
const TEXT: f64 = 12.0;
/// Width of a character of that text, on average.
const CHARACTER: f64 = 6.6;

/// A picture of `width` x `height` pixels that says what it shows to those who can't see it.
fn picture(width: f64, height: f64, title: &str) -> Document {
    Document::new()
        .set("width", round(width))
        .set("height", round(height))
        .set("viewBox", format!("0 0 {} {}", round(width), round(height)))
        .set("role", "img")
        .set("aria-label", &*printable(title))
        .set("font-family", "system-ui, sans-serif")
        .set("font-size", TEXT)
        .add(label(8.0, 18.0, title, Anchor::Start).set("font-weight", "bold"))
}

/// Which part of a text is at its x.
#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

fn label(x: f64, y: f64, text: &str, anchor: Anchor) -> Text {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    Text::new(printable(text))
        .set("x", round(x))
        .set("y", round(y))
        .set("text-anchor", anchor)
        .set("fill", "currentColor")
}

/// What is shown when its element is pointed at.
fn hint(text: &str) -> Title {
    Title::new(printable(text))
}

/// Pixels that a text takes.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// Tenths of pixels are enough.
fn round(pixels: f64) -> f64 {
    (pixels * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests;
