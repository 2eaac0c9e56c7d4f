//! Figures that are more than one number: values by row and column, and values along an axis. Metrics keep them in their
//! details under [`MATRIX`] and [`CURVE`], so that one reader understands those of every bench. Where each value of a matrix
//! is a metric of its own, they tell their places under [`CELL`].

use serde::{Deserialize, Serialize};

use super::metric::MetricRecord;
use super::vocabulary::Unit;

/// Key of a [`Matrix`] in a metric's details.
pub const MATRIX: &str = "matrix";
/// Key of a [`Curve`] in a metric's details.
pub const CURVE: &str = "curve";

/// Key of a [`Cell`] in a metric's details.
pub const CELL: &str = "cell";

/// A metric's place among others of its kind: each is measured, proved and judged by itself, and together they are a matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Name of the matrix: the metric without its last segment.
    pub matrix: String,
    /// What the rows are: `cores of`.
    pub row_title: String,
    /// What the columns are: `memory of`.
    pub column_title: String,
    /// Row of this metric.
    pub row: String,
    /// Column of this metric.
    pub column: String,
}

/// Unit of an axis of sizes.
pub const BYTES: &str = "B";

/// Values by row and column: what each node's cores reach in each node's memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// What the rows are: `cores of`.
    pub row_title: String,
    /// What the columns are: `memory of`.
    pub column_title: String,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Unit of the values.
    pub unit: Unit,
    /// Row by row; null where nothing was measured.
    pub values: Vec<Vec<Option<f64>>>,
}

impl Matrix {
    /// The value of a row and a column; `None` where there is none, or no finite one.
    pub fn at(&self, row: usize, column: usize) -> Option<f64> {
        self.values.get(row)?.get(column).copied().flatten().filter(|value| value.is_finite())
    }

    /// Every finite value that belongs to a named row and column.
    pub fn finite(&self) -> impl Iterator<Item = f64> {
        let columns = 0..self.columns.len();
        (0..self.rows.len())
            .flat_map(move |row| columns.clone().map(move |column| (row, column)))
            .filter_map(|(row, column)| self.at(row, column))
    }
}

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Division {
    /// Equal distances are equal differences.
    Linear,
    /// Equal distances are equal ratios; positive values only.
    Logarithmic,
}

/// What is along one axis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What it is: `size of the cycle`.
    pub name: String,
    /// Its unit: `B`, `GB/s`, `threads`.
    pub unit: String,
    /// How it is best drawn.
    pub division: Division,
}

impl Axis {
    /// An axis in equal differences.
    pub fn linear(name: &str, unit: &str) -> Self {
        Self { name: name.into(), unit: unit.into(), division: Division::Linear }
    }

    /// An axis in equal ratios.
    pub fn logarithmic(name: &str, unit: &str) -> Self {
        Self { name: name.into(), unit: unit.into(), division: Division::Logarithmic }
    }
}

impl Axis {
    /// Its name with the unit, where its values do not carry it themselves, as sizes do.
    pub fn title(&self) -> String {
        match self.unit.as_str() {
            "" | BYTES => self.name.clone(),
            unit => format!("{}, {unit}", self.name),
        }
    }
}

/// One line of a [`Curve`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Its name; empty when it is the only one.
    pub name: String,
    /// x and y, in the order measured.
    pub points: Vec<[f64; 2]>,
}

/// Values along an axis: latency over load, bandwidth over threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
    /// Where the curve turns, by the rule that the metric documents.
    #[serde(default)]
    pub knee: Option<[f64; 2]>,
}

impl MetricRecord {
    /// The matrix in its details; `None` when there is none that can be read.
    pub fn matrix(&self) -> Option<Matrix> {
        serde_json::from_value(self.details.get(MATRIX)?.clone()).ok()
    }

    /// Its place in a matrix of metrics; `None` when it has none that can be read.
    pub fn cell(&self) -> Option<Cell> {
        serde_json::from_value(self.details.get(CELL)?.clone()).ok()
    }

    /// The curve in its details; `None` when there is none that can be read.
    pub fn curve(&self) -> Option<Curve> {
        serde_json::from_value(self.details.get(CURVE)?.clone()).ok()
    }
}
