//! What a target takes, as text.

use comfy_table::Cell;

use super::super::screen::{Screen, Tone, cell};
use super::super::table::{fitted, table};
use super::{LEFT, RIGHT, band, short};
use crate::bottleneck::target::Target;
use crate::bottleneck::{Part, Projection};

/// Whether it is reached, what each part would have to do, and which change gets there.
pub fn render(screen: Screen, target: &Target, now: &Projection) -> String {
    let rate = target.tokens_per_second;
    let verdict = match target {
        Target { reached_surely: true, .. } => {
            (Tone::Good, "reached, at the low end of the band too")
        }
        Target { reached: true, .. } => {
            (Tone::Doubtful, "likely reached, but the low end of the band is below it")
        }
        Target { above_bound: true, .. } => {
            (Tone::Bad, "above what any software can reach on this host")
        }
        _ if now.tokens_per_second.high >= rate => {
            (Tone::Doubtful, "within the band, but not likely")
        }
        _ => (Tone::Bad, "not reached"),
    };
    let mut text = screen.heading(&format!("target of {} tokens/s", short(rate)));
    text += &format!("  {}\n", screen.paint(verdict.0, verdict.1));
    if !target.reached {
        text += &parts(screen, target);
    }
    if !target.changes.is_empty() {
        text += &changes(screen, target);
        let first = target.changes.iter().rfind(|change| change.reaches);
        text += &screen.paragraph(
            "  ",
            &match first {
                Some(change) if !target.reached => {
                    format!("the least single change that reaches it: {}", change.what)
                }
                None => "no single change of these reaches it".to_owned(),
                _ => return text,
            },
        );
    }
    text
}

fn parts(screen: Screen, target: &Target) -> String {
    let columns = [
        ("if only this part changed", LEFT),
        ("ms now", RIGHT),
        ("ms allowed", RIGHT),
        ("it would take", LEFT),
    ];
    fitted(screen, || {
        let rows = target.parts.iter().map(|part| {
            let takes = match (&part.input, part.factor, part.allowed) {
                (Some((name, now, then)), ..) => {
                    format!("{name}: {} instead of {}", short(*then), short(*now))
                }
                (None, Some(factor), _) => format!("{factor:.2} times faster"),
                (.., None) => "can't: the other parts alone take too long".to_owned(),
                _ => String::new(),
            };
            vec![
                Cell::new(part.part.name()),
                Cell::new(short(part.seconds * 1e3)),
                Cell::new(part.allowed.map_or("-".into(), |s| short(s * 1e3))),
                Cell::new(takes),
            ]
        });
        table(screen, &columns, rows.collect())
    })
}

fn changes(screen: Screen, target: &Target) -> String {
    let columns =
        [("single change", LEFT), ("tokens/s", RIGHT), ("binds then", LEFT), ("reaches it", LEFT)];
    fitted(screen, || {
        let rows = target.changes.iter().map(|change| {
            vec![
                Cell::new(super::super::printable(&change.what).into_owned()),
                Cell::new(band(change.tokens_per_second, 1.0)),
                Cell::new(change.binding.map_or("", Part::name)),
                if change.reaches { cell(Tone::Good, "yes") } else { cell(Tone::Quiet, "no") },
            ]
        });
        table(screen, &columns, rows.collect())
    })
}
