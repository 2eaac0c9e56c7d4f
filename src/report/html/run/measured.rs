//! What single metrics hold to draw: heat maps of matrices, and curves.

use maud::{Markup, PreEscaped, html};

use super::charts::{self, Axes};
use super::figures::plot;
use super::rows::name;
use crate::record::Unit;
use crate::record::figure::{BYTES, Curve, Division};
use crate::report::draw;
use crate::report::model::pictures::Plot;
use crate::report::model::{Figure, Report, Shape, Skipped};
use crate::report::plot::{Axis, Chart, Ink, Label, Line, Mark, Shape as Outline};
use crate::report::quantity;

/// Every matrix and curve of the run, and latency over size.
pub fn measured(report: &Report, latency: &Plot) -> Markup {
    let sizes = Axes {
        id: "latency",
        title: "Latency of a dependent load by the bytes it wanders through",
        x: ("bytes walked in random order", true),
        y: ("ns an access", false),
        unit: Unit::Nanoseconds,
    };
    let figures = || report.parts.iter().flat_map(|part| &part.figures);
    let is_matrix = |figure: &&Figure| matches!(figure.shape, Shape::Matrix(_));
    let curves = figures().filter_map(|figure| match &figure.shape {
        Shape::Curve(curve) => Some((figure, curve)),
        Shape::Matrix(_) => None,
    });
    let missing = |what: &str, word: &str| why_none(what, word, &report.skipped);
    html! {
        p.lead { "What each core reaches in each memory, how long a dependent load waits, and where the curves turn." }
        h3 { "Heat maps" }
        @if figures().any(|figure| is_matrix(&figure)) {
            div.figures { @for figure in figures().filter(is_matrix) { (heat_map(figure)) } }
        } @else { p.none { (missing("Node by node and core to core", "matrix")) } }
        h3 { "Curves" }
        div.figures {
            (plot("Latency by size", &sizes, latency, "Each step is a cache that no longer holds the data. Bars are 95 % intervals."))
            @for (index, (figure, curve)) in curves.enumerate() { (framed(figure, &drawn(index, figure, curve))) }
        }
        @if !figures().any(|figure| !is_matrix(&figure)) {
            p.none { (missing("Latency under load, bandwidth by threads", "loaded")) }
        }
    }
}

/// Why there is no figure: the cause that the metrics with `word` in their names were skipped for.
fn why_none(what: &str, word: &str, skipped: &[Skipped]) -> String {
    let of_it = |group: &&Skipped| group.metrics.iter().any(|id| id.as_str().contains(word));
    match skipped.iter().find(of_it) {
        Some(group) => format!("{what}: {}.", group.cause),
        None => format!("{what}: not measured in this run."),
    }
}

fn framed(figure: &Figure, picture: &Markup) -> Markup {
    html! {
        figure {
            (picture)
            @if !figure.notes.is_empty() { figcaption { ul.note { @for note in &figure.notes { li { (note) } } } } }
        }
    }
}

fn heat_map(figure: &Figure) -> Markup {
    let Shape::Matrix(matrix) = &figure.shape else { return html! {} };
    // In a page the namespace goes without saying, and the page names no address.
    let svg =
        draw::heat_map(&figure.name, matrix).replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
    framed(figure, &html! { div.scroll { (PreEscaped(svg)) } })
}

/// A curve as its metric keeps it.
fn drawn(index: usize, figure: &Figure, curve: &Curve) -> Markup {
    let values = |of: usize| {
        let points = curve.series.iter().flat_map(|series| &series.points);
        points
            .map(move |point| point[of])
            .chain(curve.knee.map(|knee| knee[of]))
            .collect::<Vec<_>>()
    };
    let axis = |axis: &crate::record::figure::Axis, values: Vec<f64>| {
        let title = axis.title();
        match (axis.unit.as_str(), axis.division) {
            (BYTES, Division::Logarithmic) => Axis::bytes(&title, values),
            (_, Division::Logarithmic) => Axis::log(&title, values),
            (_, Division::Linear) => Axis::from_zero(&title, values),
        }
    };
    let (x, y) = (axis(&curve.x, values(0)), axis(&curve.y, values(1)));
    let tell = |[across, up]: [f64; 2]| {
        let up = quantity::with_unit(&curve.y, up);
        format!("{up} at {}", quantity::with_unit(&curve.x, across))
    };
    let mut lines: Vec<Line> = Vec::new();
    let mut marks = Vec::new();
    for (number, series) in curve.series.iter().enumerate() {
        let ink = Ink::Series(number);
        let points = series.points.clone();
        lines.push(Line { points, ink, dashed: false, label: Label::None });
        marks.extend(series.points.iter().map(|&at| Mark {
            at,
            interval: None,
            ink,
            shape: Outline::of(number),
            hollow: !figure.notes.is_empty(),
            title: format!("{} {}", series.name, tell(at)).trim().to_owned(),
        }));
    }
    if let Some(knee) = curve.knee {
        let points = vec![[knee[0], y.value(y.ends[0])], knee];
        lines.push(Line { points, ink: Ink::Frame, dashed: true, label: Label::None });
    }
    let ends = curve.series.iter().filter_map(|series| {
        let (first, last) = (series.points.first()?, series.points.last()?);
        Some(format!("{} {}, then {}", series.name, tell(*first), tell(*last)).trim().to_owned())
    });
    let knee = curve.knee.map(|knee| format!("knee: {}", tell(knee)));
    let described: Vec<String> = ends.chain(knee.clone()).collect();
    let chart = Chart {
        id: format!("curve-{index}"),
        title: figure.name.clone(),
        description: described.join("; "),
        x,
        y,
        lines,
        marks,
    };
    html! {
        h3 { (name(&figure.name)) }
        (chart.draw())
        @if curve.series.len() > 1 {
            ul.legend { @for (number, series) in curve.series.iter().enumerate() { (charts::key(number, true, &series.name)) } }
        }
        @if let Some(knee) = knee { p.note { "Dashed: " (knee) "." } }
    }
}
