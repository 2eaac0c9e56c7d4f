//! From the figures of a run to charts with their legends.

use maud::{Markup, html};

use crate::record::{Interval, Origin, State, Unit};
use crate::report::model::pictures::{Curve, Roof, Roofline, Spot};
use crate::report::plot::{Axis, Chart, Ink, Label, Line, Mark, Shape};
use crate::report::quantity::{percent, plain};

/// Axes of curves: what they measure, and how large their numbers get.
pub struct Axes {
    /// Names the chart on its page.
    pub id: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// Across: title, and whether the values are bytes.
    pub x: (&'static str, bool),
    /// Up: title, and whether the axis is linear, from zero.
    pub y: (&'static str, bool),
    /// Unit of what goes up.
    pub unit: Unit,
}

/// Whether a figure is drawn as an outline.
fn doubtful(state: State) -> bool {
    state != State::Ok
}

fn ends(interval: Option<Interval>) -> Option<[f64; 2]> {
    interval.map(|Interval { low, high }| [low, high])
}

/// Places of `spots` with their intervals, for an axis that must hold both.
fn heights<'a>(spots: impl IntoIterator<Item = &'a Spot>) -> Vec<f64> {
    spots
        .into_iter()
        .flat_map(|s| [Some(s.y), s.interval.map(|i| i.low), s.interval.map(|i| i.high)])
        .flatten()
        .collect()
}

/// Curves on common axes, with a legend.
pub fn curves(axes: &Axes, curves: &[Curve]) -> Markup {
    let spots = || curves.iter().flat_map(|curve| &curve.spots);
    let x = match axes.x {
        (title, true) => Axis::bytes(title, spots().map(|spot| spot.x)),
        (title, false) => Axis::from_zero(title, spots().map(|spot| spot.x)),
    };
    let y = match axes.y {
        (title, true) => Axis::from_zero(title, heights(spots())),
        (title, false) => Axis::log(title, heights(spots())),
    };
    let line = |(number, curve): (usize, &Curve)| Line {
        points: curve.spots.iter().map(|spot| [spot.x, spot.y]).collect(),
        ink: Ink::Series(number),
        dashed: false,
        label: Label::None,
    };
    let mark = |number: usize, spot: &Spot| {
        let [value, across] = [plain(axes.unit, spot.y), x.label(x.place(spot.x).unwrap_or(0.0))];
        Mark {
            at: [spot.x, spot.y],
            interval: ends(spot.interval),
            ink: Ink::Series(number),
            shape: Shape::of(number),
            hollow: doubtful(spot.state),
            title: format!("{}: {value} at {across}, {}", spot.name, spot.state.name()),
        }
    };
    let marks = curves.iter().enumerate();
    let marks = marks.flat_map(|(n, curve)| curve.spots.iter().map(move |spot| (n, spot)));
    let marks = marks.map(|(number, spot)| mark(number, spot)).collect();
    let chart = Chart {
        id: axes.id.to_owned(),
        title: axes.title.to_owned(),
        description: describe(axes, curves),
        lines: curves.iter().enumerate().map(line).collect(),
        marks,
        y,
        x,
    };
    html! {
        (chart.draw())
        ul.legend { @for (number, curve) in curves.iter().enumerate() { (key(number, curve.spots.len() > 1, &curve.name)) } }
    }
}

/// Where each curve begins and ends, in words.
fn describe(axes: &Axes, curves: &[Curve]) -> String {
    let told = curves.iter().filter_map(|curve| {
        let (first, last) = (curve.spots.first()?, curve.spots.last()?);
        let [from, to] = [first, last].map(|spot| plain(axes.unit, spot.y));
        Some(format!(
            "{}: {from} at the left, {to} at the right, {} values",
            curve.name,
            curve.spots.len()
        ))
    });
    told.collect::<Vec<_>>().join("; ")
}

/// An entry of a legend.
pub fn key(number: usize, line: bool, name: &str) -> Markup {
    let ink = Ink::Series(number);
    html! {
        li {
            svg.(ink.class()) viewBox="0 0 56 32" aria-hidden="true" {
                @if line { path.key d="M2 16H54" stroke-width="4" {} }
                path.key d=(Shape::of(number).path(28.0, 16.0, 9.0)) {}
            }
            span { (name) }
        }
    }
}

/// One device's roofline, with a legend of formats.
pub fn roofline(roofline: &Roofline, number: usize) -> Markup {
    let measured = |roofs: &[Roof]| -> Option<f64> {
        roofs.iter().filter(|r| r.origin == Origin::Measured).map(|r| r.value).reduce(f64::max)
    };
    let memory = measured(&roofline.memory).or(roofline.memory.first().map(|roof| roof.value));
    // Where a roof of memory (GB/s) meets one of arithmetic (1e12 operations/s): operations a byte.
    let ridge = |compute: f64, memory: f64| compute * 1e3 / memory;
    let ridges = roofline.compute.iter().filter_map(|roof| Some(ridge(roof.value, memory?)));
    let kernels = || roofline.kernels.iter().map(|kernel| &kernel.spot);
    let x = Axis::log(
        "operations for each byte that the kernel declares",
        kernels().map(|spot| spot.x).chain(ridges.clone()).chain(ridges.map(|x| x * 2.0)),
    );
    let [left, right] = x.ends.map(|end| x.value(end));
    let highest = roofline.compute.iter().map(|roof| roof.value).reduce(f64::max);
    let roofs = roofline.compute.iter().map(|roof| roof.value);
    let y = Axis::log("10¹² operations/s", heights(kernels()).into_iter().chain(roofs));
    let formats = formats(roofline);
    let ink = |format: &str| Ink::Series(formats.iter().position(|f| f == format).unwrap_or(5));
    let mut lines: Vec<Line> = Vec::new();
    for roof in &roofline.memory {
        let end = highest.map_or(right, |highest| ridge(highest, roof.value).min(right));
        let height = |x: f64| x * roof.value * 1e-3;
        // The slope enters at the lower edge where it is too steep to enter at the left.
        let start = left.max(y.value(y.ends[0]) * 1e3 / roof.value).min(end);
        lines.push(Line {
            points: vec![[start, height(start)], [end, height(end)]],
            ink: Ink::Frame,
            dashed: roof.origin == Origin::Theoretical,
            label: match roof.origin {
                Origin::Measured => {
                    Label::Along(format!("{} {}", roof.name, plain(Unit::GigaBytes, roof.value)))
                }
                Origin::Theoretical => Label::None,
            },
        });
    }
    for roof in &roofline.compute {
        let start = memory.map_or(left, |memory| ridge(roof.value, memory).max(left));
        lines.push(Line {
            points: vec![[start, roof.value], [right, roof.value]],
            ink: ink(&roof.name),
            dashed: false,
            label: Label::AtEnd(format!("{} {}", roof.name, Rounded(roof.value))),
        });
    }
    let marks = roofline.kernels.iter().map(|kernel| {
        let share = kernel
            .row
            .share
            .map_or("ceiling unknown".to_owned(), |s| format!("{} of its ceiling", percent(s)));
        let speed = plain(Unit::TeraFlops, kernel.spot.y).replace("FLOP/s", "op/s");
        Mark {
            at: [kernel.spot.x, kernel.spot.y],
            interval: ends(kernel.spot.interval),
            ink: ink(&kernel.format),
            shape: Shape::of(formats.iter().position(|f| *f == kernel.format).unwrap_or(5)),
            hollow: doubtful(kernel.spot.state),
            title: format!("{}: {speed}, {share}, {}", kernel.spot.name, kernel.spot.state.name()),
        }
    });
    let chart = Chart {
        id: format!("roofline-{number}"),
        title: format!("Roofline of {}", roofline.device),
        description: format!(
            "{} kernels by operations a byte and operations a second, below {} ceilings of arithmetic and {} of memory; the \
             tables under \"Every figure\" hold the numbers.",
            roofline.kernels.len(),
            roofline.compute.len(),
            roofline.memory.len()
        ),
        marks: marks.collect(),
        lines,
        x,
        y,
    };
    html! {
        (chart.draw())
        ul.legend { @for (number, format) in formats.iter().enumerate() { (key(number, false, format)) } }
    }
}

/// Formats of kernels and roofs, each once, in the order of the suite's tables.
fn formats(roofline: &Roofline) -> Vec<String> {
    let order = ["bf16", "int8", "fp8", "mxfp4"];
    let mut names: Vec<String> = order.map(str::to_owned).to_vec();
    let used: Vec<&String> = roofline
        .kernels
        .iter()
        .map(|k| &k.format)
        .chain(roofline.compute.iter().map(|r| &r.name))
        .collect();
    names.retain(|name| used.contains(&name));
    for name in used {
        if !names.contains(name) && !name.is_empty() {
            names.push(name.clone());
        }
    }
    names
}

/// A figure with three significant digits.
struct Rounded(f64);

impl std::fmt::Display for Rounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = 2 - self.0.abs().log10().floor().clamp(-6.0, 2.0) as i32;
        write!(f, "{:.*}", digits.max(0) as usize, self.0)
    }
}
