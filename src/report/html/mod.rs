//! Pages: one file each, that needs no network, no script and no other file.
//!
//! Text comes from records, which are outside input: `maud` escapes it where it stands, and [`page`] removes what escaping
//! leaves (control characters, and those that reorder what the reader sees).

mod compare;
mod run;

pub use compare::comparison;
pub use run::run;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plot::palette;
use super::terminal::printable;

const STYLE: &str = include_str!("style.css");

/// A page of `body`.
fn page(title: &str, description: &str, body: &Markup) -> String {
    let style = format!("{}{STYLE}", palette::style());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="description" content=(description);
                meta name="generator" content=(concat!("hostdyno ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body { (body) }
        }
    };
    let clean: Vec<_> = page.0.lines().map(printable).collect();
    clean.join("\n") + "\n"
}
