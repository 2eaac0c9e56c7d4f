//! Drawings: SVG that goes straight into a page. They know numbers and names, not records.
//!
//! Axes, grids and lines are drawn by `plotters`; marks and their labels are laid over them, since each carries its name
//! and figure as a title that a pointer or a screen reader finds. Colours are those of [`palette`], which the page's
//! style maps to the reader's colour scheme.

pub mod axis;
pub mod chart;
pub mod palette;

pub use axis::Axis;
pub use chart::{Chart, Label, Line, Mark};
pub use palette::{Ink, Shape};
