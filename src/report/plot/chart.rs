//! A chart of lines and marks on two axes.

use maud::{Markup, PreEscaped, html};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::palette::{Ink, Shape};

/// Units of the drawing: about twice the pixels that it takes on a page, so that lines end where they should.
const WIDTH: u32 = 960;
const HEIGHT: u32 = 640;
/// Height of letters.
const LETTER: u32 = 25;
/// `plotters` takes the height of a line, this many times that of its letters.
const LINE_HEIGHT: f64 = 1.24;
/// Room for the labels of the vertical axis, of the horizontal one, above, and for the names of lines at their ends.
const LEFT: u32 = 88;
const BELOW: u32 = 88;
const ABOVE: u32 = 52;
const LABELS: u32 = 176;
const RIGHT: u32 = 24;
/// From the middle of a mark to its edge.
const MARK: f64 = 9.0;

/// What is drawn.
pub struct Chart {
    /// Names the drawing for those who don't see it; unique on its page.
    pub id: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What it shows, in a sentence or two, for those who don't see it.
    pub description: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// Lines, drawn first.
    pub lines: Vec<Line>,
    /// Marks, drawn over them.
    pub marks: Vec<Mark>,
}

/// Straight pieces between values.
pub struct Line {
    /// Values, across and up.
    pub points: Vec<[f64; 2]>,
    /// Its colour.
    pub ink: Ink,
    /// Whether it is dashed.
    pub dashed: bool,
    /// Its name.
    pub label: Label,
}

/// Where a line bears its name.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// Nowhere: the legend has it.
    None,
    /// Beyond its end at the right of the chart.
    AtEnd(String),
    /// Along its first piece, above it.
    Along(String),
}

/// A measured value.
pub struct Mark {
    /// Where.
    pub at: [f64; 2],
    /// Ends of its interval, up.
    pub interval: Option<[f64; 2]>,
    /// Its colour.
    pub ink: Ink,
    /// Its outline.
    pub shape: Shape,
    /// Whether only the outline is drawn: the value is doubtful.
    pub hollow: bool,
    /// What it is, with its figure.
    pub title: String,
}

type Context<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Outcome<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

impl Chart {
    /// The drawing, as wide as the page lets it be.
    pub fn draw(&self) -> Markup {
        let mut svg = String::new();
        match self.frame(&mut svg) {
            Ok(overlay) => {
                // In a page the namespace goes without saying, and the page names no address.
                let inner = svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
                let (title, text) = (format!("{}-title", self.id), format!("{}-text", self.id));
                html! {
                    svg.chart viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
                        aria-labelledby=(format!("{title} {text}"))
                    {
                        title id=(title) { (self.title) }
                        desc id=(text) { (self.description) }
                        (PreEscaped(inner))
                        (overlay)
                    }
                }
            }
            Err(error) => {
                html! { p.none { "This figure can't be drawn (" (error) "). " (self.description) } }
            }
        }
    }

    /// Draws axes, grid and lines into `svg`; gives what is laid over them.
    fn frame(&self, svg: &mut String) -> Outcome<Markup> {
        let area = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
        let labelled = self.lines.iter().any(|line| matches!(line.label, Label::AtEnd(_)));
        let mut chart = ChartBuilder::on(&area)
            .margin_top(ABOVE)
            .margin_right(if labelled { LABELS } else { RIGHT })
            .x_label_area_size(BELOW)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        let text = |ink: Ink| {
            ("sans-serif", f64::from(LETTER) * LINE_HEIGHT).into_font().color(&ink.rgb())
        };
        chart
            .configure_mesh()
            .bold_line_style(Ink::Grid.rgb().stroke_width(2))
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Frame.rgb().stroke_width(2))
            .label_style(text(Ink::Frame))
            .axis_desc_style(text(Ink::Frame).pos(Pos::new(HPos::Center, VPos::Top)))
            .x_label_formatter(&|place| self.x.label(*place))
            .y_label_formatter(&|place| self.y.label(*place))
            .x_desc(&self.x.title)
            .set_all_tick_mark_size(8)
            .draw()?;
        for line in &self.lines {
            self.line(&mut chart, line)?;
        }
        for mark in &self.marks {
            self.whisker(&mut chart, mark)?;
        }
        let overlay = self.overlay(&chart);
        area.present()?;
        Ok(overlay)
    }

    fn place(&self, [x, y]: [f64; 2]) -> Option<(f64, f64)> {
        Some((self.x.place(x)?, self.y.place(y)?))
    }

    fn line(&self, chart: &mut Context<'_, '_>, line: &Line) -> Outcome<()> {
        let points: Vec<_> = line.points.iter().filter_map(|point| self.place(*point)).collect();
        let style = line.ink.rgb().stroke_width(3);
        if line.dashed {
            chart.draw_series(DashedLineSeries::new(points, 10, 8, style))?;
        } else {
            chart.draw_series(LineSeries::new(points, style))?;
        }
        Ok(())
    }

    /// The interval of a mark, with bars at its ends.
    fn whisker(&self, chart: &mut Context<'_, '_>, mark: &Mark) -> Outcome<()> {
        let Some(interval) = mark.interval else { return Ok(()) };
        let ends = interval.map(|y| self.place([mark.at[0], y]));
        let [Some(low), Some(high)] = ends else { return Ok(()) };
        let style = mark.ink.rgb().stroke_width(2);
        let bar = |at| EmptyElement::at(at) + PathElement::new(vec![(-7, 0), (7, 0)], style);
        chart.draw_series([PathElement::new(vec![low, high], style)])?;
        chart.draw_series([bar(low), bar(high)])?;
        Ok(())
    }

    /// Marks, names of lines, title of the vertical axis.
    fn overlay(&self, chart: &Context<'_, '_>) -> Markup {
        let pixel = |place: (f64, f64)| {
            let (x, y) = chart.backend_coord(&place);
            (f64::from(x), f64::from(y))
        };
        let marks = self.marks.iter().filter_map(|mark| Some((mark, pixel(self.place(mark.at)?))));
        let ends = self.lines.iter().filter_map(|line| {
            let Label::AtEnd(label) = &line.label else { return None };
            let last = line.points.iter().rev().find_map(|point| self.place(*point))?;
            Some((label.as_str(), line.ink, pixel(last).1))
        });
        let along = self.lines.iter().filter_map(|line| {
            let (Label::Along(label), [a, b, ..]) = (&line.label, line.points.as_slice()) else {
                return None;
            };
            let (a, b) = (pixel(self.place(*a)?), pixel(self.place(*b)?));
            let (x, y) = ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
            let angle = (b.1 - a.1).atan2(b.0 - a.0).to_degrees();
            Some((label, line.ink, x, y, format!("rotate({angle:.1} {x} {y})")))
        });
        let labels = apart(ends.collect(), f64::from(LETTER) * 1.15);
        let right = f64::from(WIDTH - LABELS) + 12.0;
        let middle = f64::from(LETTER) * 0.35;
        html! {
            text.axis-title x="4" y=(LETTER) font-size=(LETTER) { (self.y.title) }
            @for (label, ink, y) in labels {
                text.line-label.(ink.class()) x=(right) y=(y + middle) font-size=(LETTER) { (label) }
            }
            @for (label, ink, x, y, turn) in along {
                text.line-label.(ink.class()) x=(x) y=(y - 10.0) transform=(turn) text-anchor="middle" font-size=(LETTER) { (label) }
            }
            @for (mark, (x, y)) in marks {
                path.mark.hollow[mark.hollow].(mark.ink.class()) d=(mark.shape.path(x, y, MARK)) {
                    title { (mark.title) }
                }
            }
        }
    }
}

/// Labels from top to bottom, moved until each has `room`, as little as that takes.
fn apart(mut labels: Vec<(&str, Ink, f64)>, room: f64) -> Vec<(&str, Ink, f64)> {
    labels.sort_by(|a, b| a.2.total_cmp(&b.2));
    // Each pass moves overlapping neighbours apart by half of what they lack; some passes settle a pile of a few.
    for _ in 0..64 {
        for index in 1..labels.len() {
            let lacking = room - (labels[index].2 - labels[index - 1].2);
            if lacking > 0.0 {
                labels[index - 1].2 -= lacking / 2.0;
                labels[index].2 += lacking / 2.0;
            }
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_overlap() {
        let ink = Ink::Frame;
        let labels = apart(vec![("b", ink, 101.0), ("a", ink, 100.0), ("c", ink, 300.0)], 20.0);
        let names: Vec<&str> = labels.iter().map(|label| label.0).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!((labels[1].2 - labels[0].2 - 20.0).abs() < 1e-6 && labels[2].2 == 300.0);
    }

    #[test]
    fn a_chart_has_its_names_its_marks_and_no_address() {
        let mark = |at, hollow| Mark {
            at,
            interval: Some([at[1] * 0.9, at[1] * 1.1]),
            ink: Ink::Series(0),
            shape: Shape::Square,
            hollow,
            title: "<gemm> 3 & 4".into(),
        };
        let chart = Chart {
            id: "c".into(),
            title: "Title \"quoted\"".into(),
            description: "What it shows".into(),
            x: Axis::log("bytes <x>", [1.0, 100.0]),
            y: Axis::from_zero("ns", [50.0]),
            lines: vec![Line {
                points: vec![[1.0, 1.0], [100.0, 50.0], [f64::NAN, 3.0]],
                ink: Ink::Series(1),
                dashed: true,
                label: Label::AtEnd("<b>".into()),
            }],
            marks: vec![
                mark([10.0, 20.0], false),
                mark([20.0, 30.0], true),
                mark([-1.0, 3.0], true),
            ],
        };
        let svg = chart.draw().into_string();
        for part in ["role=\"img\"", "&lt;gemm&gt; 3 &amp; 4", "bytes &lt;x&gt;", "&lt;b&gt;", "s0"]
        {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert_eq!(svg.matches("class=\"mark").count(), 2, "no place for -1 on a log axis");
        assert!(!svg.contains("://"), "{svg}");
    }
}
