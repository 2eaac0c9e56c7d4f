//! A matrix as a heat map: one cell a value, with the value in it where there is room.

use svg::node::element::{Group, Rectangle};

use super::{Anchor, TEXT, hint, label, picture, round, width_of};
use crate::record::figure::Matrix;
use crate::report::quantity::Scale;

/// Largest and smallest side of a cell.
const CELL: (f64, f64) = (56.0, 6.0);
/// Side below which a cell has no room for its value.
const WITH_TEXT: f64 = 34.0;
/// Side that all cells together should not exceed.
const SIDE: f64 = 720.0;
/// Height of the title with the name of the columns below it.
const HEAD: f64 = 56.0;
/// Height of the legend.
const LEGEND: f64 = 46.0;
/// Colours of the smallest and of the largest value: light to dark of one hue, so that grey prints tell them apart.
const COLOURS: [[f64; 3]; 2] = [[222.0, 235.0, 247.0], [8.0, 69.0, 148.0]];

/// `matrix` as an SVG.
pub fn heat_map(title: &str, matrix: &Matrix) -> String {
    let (rows, columns) = (matrix.rows.len(), matrix.columns.len());
    let largest = matrix.finite().fold(f64::NEG_INFINITY, f64::max);
    let smallest = matrix.finite().fold(f64::INFINITY, f64::min);
    let scale = Scale::of(matrix.unit, if largest.is_finite() { largest } else { 0.0 });
    let side = (SIDE / rows.max(columns).max(1) as f64).floor().clamp(CELL.1, CELL.0);
    let left = 20.0 + matrix.rows.iter().map(|name| width_of(name)).fold(24.0, f64::max);
    let (right, bottom) = (left + side * columns as f64, HEAD + side * rows as f64);
    let heading = format!("{title}, {}", scale.symbol);
    let axes = format!("{} (down), {} (across)", matrix.row_title, matrix.column_title);
    let width = [right, left + 170.0, 16.0 + width_of(&heading) * 1.1, 16.0 + width_of(&axes)];
    let width = width.into_iter().fold(0.0, f64::max) + 16.0;
    let mut picture = picture(width, bottom + LEGEND, &heading);
    picture = picture.add(label(8.0, 34.0, &axes, Anchor::Start).set("opacity", 0.7));
    // Names closer to each other than a line of text are thinned out.
    let every = (TEXT * 1.2 / side).ceil().max(1.0) as usize;
    let widest = matrix.columns.iter().map(|name| width_of(name) + 6.0).fold(1.0, f64::max);
    let every_column = (widest / side).ceil().max(1.0) as usize;
    for (row, name) in matrix.rows.iter().enumerate().step_by(every) {
        let middle = HEAD + side * (row as f64 + 0.5) + TEXT / 3.0;
        picture = picture.add(label(left - 6.0, middle, name, Anchor::End));
    }
    for (column, name) in matrix.columns.iter().enumerate().step_by(every_column) {
        let middle = left + side * (column as f64 + 0.5);
        picture = picture.add(label(middle, HEAD - 5.0, name, Anchor::Middle));
    }
    let mut cells = Group::new().set("stroke", "currentColor").set("stroke-opacity", 0.15);
    for (row, from) in matrix.rows.iter().enumerate() {
        for (column, to) in matrix.columns.iter().enumerate() {
            let (x, y) = (left + side * column as f64, HEAD + side * row as f64);
            let value = matrix.at(row, column);
            let text = value.map_or_else(|| "not measured".into(), |v| scale.three_digits(v));
            let place =
                format!("{} {from}, {} {to}: {text}", matrix.row_title, matrix.column_title);
            let share = value.map(|value| share(value, smallest, largest));
            let fill = share.map_or_else(|| "none".into(), colour);
            cells = cells.add(square(x, y, side, &fill).add(hint(&place)));
            if side >= WITH_TEXT && value.is_some() {
                let ink = if share.unwrap_or(0.0) > 0.5 { "#fff" } else { "#111" };
                let (x, y) = (x + side / 2.0, y + side / 2.0 + TEXT / 3.0);
                let text = label(x, y, &text, Anchor::Middle).set("fill", ink);
                // What is below the text has to be pointed at through it.
                cells = cells.add(text.set("stroke", "none").set("pointer-events", "none"));
            }
        }
    }
    picture = picture.add(cells);
    if largest.is_finite() {
        picture = picture.add(legend(left, bottom + 14.0, scale, smallest, largest));
    }
    picture.to_string()
}

fn square(x: f64, y: f64, side: f64, fill: &str) -> Rectangle {
    Rectangle::new()
        .set("x", round(x))
        .set("y", round(y))
        .set("width", round(side - 1.0))
        .set("height", round(side - 1.0))
        .set("fill", fill)
}

/// Steps of colour from the smallest value to the largest.
fn legend(x: f64, y: f64, scale: Scale, smallest: f64, largest: f64) -> Group {
    const STEPS: usize = 10;
    let mut legend = Group::new();
    for step in 0..STEPS {
        let fill = colour(step as f64 / (STEPS - 1) as f64);
        legend = legend.add(square(x + step as f64 * TEXT, y, TEXT, &fill));
    }
    let below = y + TEXT + 14.0;
    legend.add(label(x, below, &scale.three_digits(smallest), Anchor::Start)).add(label(
        x + STEPS as f64 * TEXT,
        below,
        &format!("{} {}", scale.three_digits(largest), scale.symbol),
        Anchor::Start,
    ))
}

/// Where `value` is between the two; in the middle when they are the same.
fn share(value: f64, smallest: f64, largest: f64) -> f64 {
    let share = (value - smallest) / (largest - smallest);
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
}

fn colour(share: f64) -> String {
    let [light, dark] = COLOURS;
    let [r, g, b] = std::array::from_fn(|i| (light[i] + (dark[i] - light[i]) * share).round());
    format!("rgb({r},{g},{b})")
}
