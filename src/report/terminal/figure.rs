//! Matrices and curves as text: a table of values; for a curve the x above the y.

use comfy_table::Cell;
use comfy_table::CellAlignment::{Left, Right};

use super::screen::{Screen, Tone, cell, printable};
use super::table::{first_that_fits, print, table, widest};
use crate::record::figure::{Curve, Matrix};
use crate::report::model::{Figure, Shape};
use crate::report::quantity::{self, Scale};

/// Points of a curve that are shown at most.
const POINTS: usize = 10;
/// Notes that are shown at most.
const NOTES: usize = 3;

/// The figures, each under its name.
pub fn render(screen: Screen, figures: &[Figure]) -> String {
    let mut text = String::new();
    for figure in figures {
        text.push('\n');
        text += &match &figure.shape {
            Shape::Matrix(matrix) => of_matrix(screen, &figure.name, matrix),
            Shape::Curve(curve) => of_curve(screen, &figure.name, curve),
        };
        for note in figure.notes.iter().take(NOTES) {
            text += &screen.paragraph("    ", note);
        }
        if figure.notes.len() > NOTES {
            text +=
                &screen.paragraph("    ", &format!("... and {} more", figure.notes.len() - NOTES));
        }
    }
    text
}

fn of_matrix(screen: Screen, name: &str, matrix: &Matrix) -> String {
    let largest = matrix.finite().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return String::new();
    }
    let scale = Scale::of(matrix.unit, largest);
    let about = format!(
        "{name}, {}: {} (down), {} (across)",
        scale.symbol, matrix.row_title, matrix.column_title
    );
    let text = screen.paragraph("  ", &about);
    let values = |row: usize| -> Vec<Cell> {
        (0..matrix.columns.len())
            .map(|column| match matrix.at(row, column) {
                Some(value) => Cell::new(scale.three_digits(value)),
                None => cell(Tone::Quiet, "-"),
            })
            .collect()
    };
    let draw = || {
        let names: Vec<String> =
            matrix.columns.iter().map(|column| printable(column).into_owned()).collect();
        let columns: Vec<_> = std::iter::once(("", Left))
            .chain(names.iter().map(|column| (column.as_str(), Right)))
            .collect();
        let line = |(row, name): (usize, &String)| {
            std::iter::once(cell(Tone::Quiet, format!("  {}", printable(name))))
                .chain(values(row))
                .collect()
        };
        table(screen, &columns, matrix.rows.iter().enumerate().map(line).collect())
    };
    if widest(&draw()) <= screen.width {
        return text + &print(&draw());
    }
    let mut sorted: Vec<f64> = matrix.finite().collect();
    sorted.sort_by(f64::total_cmp);
    let [low, middle, high] =
        [sorted[0], sorted[sorted.len() / 2], largest].map(|v| scale.three_digits(v));
    let extent = format!(
        "{} x {}, too wide to print: lowest {low}, median {middle}, highest {high}; `hostdyno report --svg DIR` draws it",
        matrix.rows.len(),
        matrix.columns.len()
    );
    text + &screen.paragraph("    ", &extent)
}

fn of_curve(screen: Screen, name: &str, curve: &Curve) -> String {
    let mut text = String::new();
    for series in curve.series.iter().filter(|series| !series.points.is_empty()) {
        let which =
            if series.name.is_empty() { String::new() } else { format!(", {}", series.name) };
        let about = format!("{name}{which}: {} over {}", curve.y.title(), curve.x.title());
        text += &screen.paragraph("  ", &about);
        let layouts: Vec<usize> = (2..=POINTS).rev().collect();
        let draw = |most: usize| {
            let points = thinned(&series.points, most);
            let names: Vec<String> =
                points.iter().map(|point| quantity::on_axis(&curve.x, point[0])).collect();
            let columns: Vec<_> = std::iter::once(("", Left))
                .chain(names.iter().map(|name| (name.as_str(), Right)))
                .collect();
            let values =
                points.iter().map(|point| Cell::new(quantity::on_axis(&curve.y, point[1])));
            table(screen, &columns, vec![std::iter::once(Cell::new(" ")).chain(values).collect()])
        };
        text +=
            &first_that_fits(screen, &layouts, draw).map_or_else(String::new, |(table, _)| table);
    }
    if let Some([x, y]) = curve.knee {
        let knee = format!(
            "knee: {} at {}",
            quantity::with_unit(&curve.y, y),
            quantity::with_unit(&curve.x, x)
        );
        text += &screen.paragraph("    ", &knee);
    }
    text
}

/// About `most` of `points`, the first and the last among them.
fn thinned(points: &[[f64; 2]], most: usize) -> Vec<[f64; 2]> {
    if points.len() <= most {
        return points.to_vec();
    }
    let last = points.len() - 1;
    let at = |index: usize| points[(index * last + (most - 1) / 2) / (most - 1)];
    (0..most).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Unit;
    use crate::record::figure::{Axis, Series};

    const WIDE: Screen = Screen { width: 100, color: false };

    fn matrix(size: usize) -> Matrix {
        let names: Vec<String> = (0..size).map(|i| format!("p0n{i}")).collect();
        Matrix {
            row_title: "cores of".into(),
            column_title: "memory of".into(),
            rows: names.clone(),
            columns: names,
            unit: Unit::Nanoseconds,
            values: (0..size)
                .map(|row| (0..size).map(|c| (row != c).then_some(100.0 + c as f64)).collect())
                .collect(),
        }
    }

    fn figure(shape: Shape) -> Figure {
        Figure { name: "dram/x".into(), shape, notes: Vec::new() }
    }

    #[test]
    fn small_matrices_are_printed_and_large_ones_summed_up() {
        let text = render(WIDE, &[figure(Shape::Matrix(matrix(2)))]);
        assert!(text.contains("p0n0") && text.contains("101") && text.contains('-'), "{text}");
        let text = render(WIDE, &[figure(Shape::Matrix(matrix(40)))]);
        assert!(text.contains("40 x 40") && text.contains("highest 139"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert_eq!(render(WIDE, &[figure(Shape::Matrix(matrix(1)))]).trim(), "");
    }

    #[test]
    fn curves_show_their_ends_and_their_knee() {
        let points: Vec<[f64; 2]> = (0..50).map(|i| [f64::from(i), 100.0 + f64::from(i)]).collect();
        let curve = Curve {
            x: Axis::linear("load", "GB/s"),
            y: Axis::linear("latency", "ns"),
            series: vec![Series { name: String::new(), points }],
            knee: Some([30.0, 130.0]),
        };
        let text = render(WIDE, &[figure(Shape::Curve(curve))]);
        assert!(text.contains("100") && text.contains("149"), "{text}");
        assert!(text.contains("knee: 130 ns at 30 GB/s"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }

    #[test]
    fn thinning_keeps_both_ends() {
        let points: Vec<[f64; 2]> = (0..7).map(|i| [f64::from(i), 0.0]).collect();
        for most in 2..9 {
            let kept = thinned(&points, most);
            assert_eq!((kept[0], kept[kept.len() - 1]), (points[0], points[6]), "{most}");
            assert_eq!(kept.len(), most.min(7));
            assert!(kept.is_sorted_by(|a, b| a[0] < b[0]), "{kept:?}");
        }
    }
}
