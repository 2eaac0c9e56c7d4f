//! Curves over two axes, with the knee marked.

use svg::Document;
use svg::node::element::{Circle, Group, Line, Polyline};

use super::ticks::Ruler;
use super::{Anchor, CHARACTER, hint, label, picture, round, width_of};
use crate::record::figure::{Curve, Series};
use crate::report::quantity;

/// Area of the picture, and the space around the plot: left, top, right, bottom.
const AREA: [f64; 2] = [640.0, 360.0];
const SPACE: [f64; 4] = [64.0, 40.0, 24.0, 48.0];
/// Colours of the series, told apart by the colour-blind too (Okabe and Ito 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// `curve` as an SVG.
pub fn curve(title: &str, curve: &Curve) -> String {
    let points = || curve.series.iter().flat_map(|series| &series.points).copied();
    let picture = picture(AREA[0], AREA[1], title);
    let rulers = Ruler::new(&curve.x, points().map(|p| p[0]))
        .zip(Ruler::new(&curve.y, points().map(|p| p[1])));
    let Some((x, y)) = rulers else {
        return picture.add(label(SPACE[0], AREA[1] / 2.0, "no points", Anchor::Start)).to_string();
    };
    let plot = Plot { curve, x, y };
    let mut picture = plot.axes(picture);
    for (index, series) in curve.series.iter().enumerate() {
        picture = picture.add(plot.series(series, COLOURS[index % COLOURS.len()]));
    }
    plot.legend(plot.knee(picture)).to_string()
}

struct Plot<'a> {
    curve: &'a Curve,
    x: Ruler<'a>,
    y: Ruler<'a>,
}

impl Plot<'_> {
    fn across(&self, value: f64) -> Option<f64> {
        self.x.place(value).map(|share| SPACE[0] + share * (AREA[0] - SPACE[0] - SPACE[2]))
    }

    fn up(&self, value: f64) -> Option<f64> {
        let bottom = AREA[1] - SPACE[3];
        self.y.place(value).map(|share| bottom - share * (bottom - SPACE[1]))
    }

    fn axes(&self, mut picture: Document) -> Document {
        let (right, bottom) = (AREA[0] - SPACE[2], AREA[1] - SPACE[3]);
        for (value, text) in self.y.ticks() {
            let Some(at) = self.up(value) else { continue };
            picture = picture
                .add(line([SPACE[0], at], [right, at]).set("opacity", 0.15))
                .add(label(SPACE[0] - 6.0, at + 4.0, &text, Anchor::End));
        }
        for (value, text) in self.x.ticks() {
            let Some(at) = self.across(value) else { continue };
            picture = picture.add(line([at, bottom], [at, bottom + 4.0])).add(label(
                at,
                bottom + 17.0,
                &text,
                Anchor::Middle,
            ));
        }
        let (x, y) = (&self.curve.x, &self.curve.y);
        picture
            .add(line([SPACE[0], bottom], [right, bottom]))
            .add(label(right, bottom + 36.0, &x.title(), Anchor::End))
            .add(label(8.0, SPACE[1] - 6.0, &y.title(), Anchor::Start))
    }

    fn series(&self, series: &Series, colour: &str) -> Group {
        let places: Vec<([f64; 2], [f64; 2])> = series
            .points
            .iter()
            .filter_map(|&[x, y]| Some(([x, y], [self.across(x)?, self.up(y)?])))
            .collect();
        let path: Vec<String> =
            places.iter().map(|(_, [x, y])| format!("{},{}", round(*x), round(*y))).collect();
        let path = Polyline::new()
            .set("points", path.join(" "))
            .set("fill", "none")
            .set("stroke", colour)
            .set("stroke-width", 2);
        let mut group = Group::new().add(path);
        for ([x, y], [across, up]) in places {
            let text = format!(
                "{}{}, {}",
                if series.name.is_empty() { String::new() } else { format!("{}: ", series.name) },
                quantity::with_unit(&self.curve.x, x),
                quantity::with_unit(&self.curve.y, y),
            );
            group = group.add(dot(across, up, colour).add(hint(&text)));
        }
        group
    }

    fn knee(&self, picture: Document) -> Document {
        let Some([x, y]) = self.curve.knee else { return picture };
        let Some((across, up)) = self.across(x).zip(self.up(y)) else { return picture };
        let bottom = AREA[1] - SPACE[3];
        let text = format!("knee: {}", quantity::with_unit(&self.curve.x, x));
        let fits = across + 8.0 + width_of(&text) < AREA[0];
        let (at, anchor) =
            if fits { (across + 6.0, Anchor::Start) } else { (across - 6.0, Anchor::End) };
        let rule = line([across, up], [across, bottom]).set("stroke-dasharray", "4 3");
        picture.add(rule).add(label(at, bottom - 8.0, &text, anchor))
    }

    fn legend(&self, mut picture: Document) -> Document {
        let series = &self.curve.series;
        if series.len() < 2 {
            return picture;
        }
        let mut right = AREA[0] - SPACE[2];
        for (index, one) in series.iter().enumerate().rev() {
            let from = right - width_of(&one.name);
            picture = picture
                .add(dot(from - 8.0, SPACE[1] - 10.0, COLOURS[index % COLOURS.len()]))
                .add(label(right, SPACE[1] - 6.0, &one.name, Anchor::End));
            right = from - 16.0 - CHARACTER;
        }
        picture
    }
}

fn line(from: [f64; 2], to: [f64; 2]) -> Line {
    Line::new()
        .set("x1", round(from[0]))
        .set("y1", round(from[1]))
        .set("x2", round(to[0]))
        .set("y2", round(to[1]))
        .set("stroke", "currentColor")
}

fn dot(x: f64, y: f64, colour: &str) -> Circle {
    Circle::new().set("cx", round(x)).set("cy", round(y)).set("r", 3.5).set("fill", colour)
}
