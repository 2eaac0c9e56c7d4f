//! Projections beside what was measured, as tables.

use comfy_table::Cell;

use super::super::printable;
use super::super::screen::{Screen, Tone, cell};
use super::super::table::{fitted, table};
use super::{LEFT, RIGHT, band, short};
use crate::bottleneck::published::Checked;
use crate::bottleneck::{Analysis, Constants, Part};
use crate::report::quantity::percent;

/// The experts bench of a run projected from itself.
pub fn experts(screen: Screen, analysis: &Analysis) -> String {
    let columns = [
        ("experts' layers", LEFT),
        ("projected from", LEFT),
        ("tokens/s", RIGHT),
        ("measured", RIGHT),
        ("error", RIGHT),
    ];
    let text = fitted(screen, || {
        let rows = analysis.experts.iter().map(|check| {
            vec![
                Cell::new(printable(&check.metric).into_owned()),
                cell(Tone::Quiet, printable(&check.from).into_owned()),
                Cell::new(short(check.projected)),
                Cell::new(short(check.measured)),
                Cell::new(format!("{:+.1} %", check.error * 100.0)),
            ]
        });
        table(screen, &columns, rows.collect())
    });
    screen.heading("this run against itself") + &text
}

/// Published points beside their projections.
pub fn checks(
    screen: Screen,
    points: &[Checked],
    mean: Option<f64>,
    constants: &Constants,
) -> String {
    let columns = [
        ("point", LEFT),
        ("sockets", RIGHT),
        ("measured", RIGHT),
        ("projected", RIGHT),
        ("error", RIGHT),
        ("in band", LEFT),
        ("never above", RIGHT),
        ("binds", LEFT),
        ("fitted without it", LEFT),
    ];
    let text = fitted(screen, || {
        let rows = points.iter().map(|c| {
            let yes = |yes: bool| if yes { cell(Tone::Good, "yes") } else { cell(Tone::Bad, "no") };
            vec![
                Cell::new(printable(&c.point.id).into_owned()),
                Cell::new(c.point.sockets.map_or("-".into(), |n| n.to_string())),
                Cell::new(short(c.point.measured_tok_s)),
                Cell::new(band(c.projected, 1.0)),
                Cell::new(format!("{:+.0} %", c.error * 100.0)),
                yes(c.inside),
                Cell::new(c.bound.map_or("-".into(), short)),
                Cell::new(c.binding.map_or("-", Part::name)),
                Cell::new(if c.left_out { "yes" } else { "not in the fit" }),
            ]
        });
        table(screen, &columns, rows.collect())
    });
    let mut notes = format!(
        "constants of all points: eta {:.3}, {:.2} us a kernel, attention {:.2} FLOP a byte, spread {:.2} times",
        constants.eta, constants.kernel_us, constants.attention_flops_per_byte, constants.spread
    );
    if let Some(mean) = mean {
        notes =
            format!("mean absolute error of points with one socket: {}; {notes}", percent(mean));
    }
    screen.heading("published decode, tokens/s") + &text + &screen.paragraph("  ", &notes)
}
