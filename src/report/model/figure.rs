//! What a run has to draw: matrices and curves, from the details of its metrics.

use serde::Serialize;

use crate::record::figure::{Cell, Curve, Matrix};
use crate::record::{MetricRecord, State};
use crate::report::draw;

/// One picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// The metric, or the matrix that metrics are cells of.
    pub name: String,
    /// What it shows.
    #[serde(flatten)]
    pub shape: Shape,
    /// Which of the metrics that are its values are doubtful or missing, and why.
    pub notes: Vec<String>,
}

/// What a picture shows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Values by row and column.
    Matrix(Matrix),
    /// Values along an axis.
    Curve(Curve),
}

impl Figure {
    /// Every figure of `metrics`, in the order measured.
    pub fn all<'a>(metrics: impl IntoIterator<Item = &'a MetricRecord>) -> Vec<Self> {
        let mut figures: Vec<Self> = Vec::new();
        for metric in metrics {
            if let Some(cell) = metric.cell() {
                let found = figures.iter().position(|figure| figure.name == cell.matrix);
                let index = found.unwrap_or_else(|| {
                    figures.push(Self::empty(&cell, metric));
                    figures.len() - 1
                });
                figures[index].fill(&cell, metric);
            }
            let shapes = [metric.matrix().map(Shape::Matrix), metric.curve().map(Shape::Curve)];
            for shape in shapes.into_iter().flatten() {
                // Its own row tells whether the metric is to be trusted.
                figures.push(Self { name: metric.id.to_string(), shape, notes: Vec::new() });
            }
        }
        figures
    }

    /// The picture.
    pub fn svg(&self) -> String {
        match &self.shape {
            Shape::Matrix(matrix) => draw::heat_map(&self.name, matrix),
            Shape::Curve(curve) => draw::curve(&self.name, curve),
        }
    }

    fn empty(cell: &Cell, metric: &MetricRecord) -> Self {
        let matrix = Matrix {
            row_title: cell.row_title.clone(),
            column_title: cell.column_title.clone(),
            rows: Vec::new(),
            columns: Vec::new(),
            unit: metric.unit,
            values: Vec::new(),
        };
        Self { name: cell.matrix.clone(), shape: Shape::Matrix(matrix), notes: Vec::new() }
    }

    /// Puts `metric` in its place.
    fn fill(&mut self, cell: &Cell, metric: &MetricRecord) {
        self.notes.extend(note(metric));
        // A curve of that name, or values that can't be compared.
        let Shape::Matrix(matrix) = &mut self.shape else { return };
        if matrix.unit != metric.unit {
            return;
        }
        let row = place(&mut matrix.rows, &cell.row);
        let column = place(&mut matrix.columns, &cell.column);
        matrix.values.resize(matrix.rows.len(), Vec::new());
        for values in &mut matrix.values {
            values.resize(matrix.columns.len(), None);
        }
        let usable = metric.state != State::Invalid;
        matrix.values[row][column] =
            metric.summary.as_ref().filter(|_| usable).map(|summary| summary.median);
    }
}

/// Where `name` is among `names`; added where it is not.
fn place(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}

fn note(metric: &MetricRecord) -> Vec<String> {
    let why = metric.reason.as_deref().unwrap_or("no reason recorded");
    let doubtful = metric.state != State::Ok;
    doubtful
        .then(|| format!("{} is {}: {why}", metric.id, metric.state.name()))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::figure::{CELL, CURVE, MATRIX};
    use crate::report::fixture::{in_state, ok};

    fn cell(row: &str, column: &str, value: f64) -> MetricRecord {
        let mut metric = ok(&format!("dram/matrix/read/{row}-{column}"), value);
        let place = Cell {
            matrix: "dram/matrix/read".into(),
            row_title: "cores of".into(),
            column_title: "memory of".into(),
            row: row.into(),
            column: column.into(),
        };
        metric.details.insert(CELL.into(), json!(place));
        metric
    }

    #[test]
    fn cells_come_together_in_one_matrix() {
        let metrics = [
            cell("p0n0", "p0n0", 40.0),
            ok("dram/read/all-cores", 80.0),
            cell("p0n0", "p1n0", 20.0),
            in_state(cell("p1n0", "p0n0", 99.0), State::Invalid, "beats its ceiling"),
            in_state(cell("p1n0", "m0", 10.0), State::Noisy, "busy"),
        ];
        let figures = Figure::all(&metrics);
        let [figure] = &figures[..] else { panic!("{figures:?}") };
        let Shape::Matrix(matrix) = &figure.shape else { panic!("{figure:?}") };
        assert_eq!(matrix.rows, ["p0n0", "p1n0"]);
        assert_eq!(matrix.columns, ["p0n0", "p1n0", "m0"]);
        assert_eq!(matrix.values[0], [Some(40.0), Some(20.0), None]);
        // Invalid figures are not shown; noisy ones are, with a note.
        assert_eq!(matrix.values[1], [None, None, Some(10.0)]);
        assert_eq!(figure.notes.len(), 2);
        assert!(figure.notes[1].contains("busy"), "{:?}", figure.notes);
        assert!(figure.svg().contains("not measured"));
    }

    #[test]
    fn what_can_not_be_read_is_no_figure() {
        let mut metric = ok("dram/x", 1.0);
        for (key, value) in [
            (CELL, json!("p0n0")),
            (MATRIX, json!({"rows": 3})),
            (CURVE, json!({"series": [{"name": "a", "points": [[1, 2, 3]]}]})),
        ] {
            metric.details.insert(key.into(), value);
        }
        assert!(Figure::all([&metric]).is_empty());
    }

    #[test]
    fn cells_of_another_unit_are_left_out() {
        let mut stray = cell("p1n0", "p1n0", 1.0);
        stray.unit = crate::record::Unit::Nanoseconds;
        let figures = Figure::all(&[cell("p0n0", "p0n0", 40.0), stray]);
        let Shape::Matrix(matrix) = &figures[0].shape else { panic!("{figures:?}") };
        assert_eq!(matrix.rows, ["p0n0"]);
    }
}
