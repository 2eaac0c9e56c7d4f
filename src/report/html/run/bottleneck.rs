//! Where a token's time goes: what the run's figures mean for a model, by part, and what batch and context change.

use maud::{Markup, html};

use crate::bottleneck::sweep::{Axis as Varied, Sweep};
use crate::bottleneck::{Analysis, Band, PartTime, Projection};
use crate::record::Unit;
use crate::report::plot::{Axis, Chart, Ink, Label, Line, Mark, Shape};
use crate::report::quantity::{percent, plain};
use crate::report::terminal::bottleneck::{binding, is_partial, short};

/// The projection of a model on the run's host, or why there is none.
pub fn bottleneck(projection: Result<&Analysis, &str>) -> Markup {
    let analysis = match projection {
        Ok(analysis) => analysis,
        Err(why) => return html! { p.none { "No projection: " (why) } },
    };
    let model = &analysis.model;
    html! {
        p.lead {
            "Time of one token of " b { (model.name) } " in " (analysis.format) " (" (format!("{:.1} GB, {:.2} GB", model.stored_gb, model.read_gb))
            " of them read a token) on this host: projected, not measured. The line over a bar is the band that the time will hardly leave."
        }
        (step("Decode", &analysis.decode))
        (step("Prefill", &analysis.prefill))
        @if !analysis.sweeps.is_empty() {
            h3 { "What would change it" }
            div.figures { @for sweep in analysis.sweeps.iter().filter(|sweep| sweep.axis != Varied::Format && !sweep.rows.is_empty()) { (drawn(sweep)) } }
            @for sweep in analysis.sweeps.iter().filter(|sweep| sweep.axis == Varied::Format) { (table(sweep)) }
        }
        (inputs(analysis))
    }
}

/// Tokens a second, then the time of each part as a bar.
fn step(name: &str, step: &Projection) -> Markup {
    let size = format!("batch {}, context {}", step.batch, step.context);
    let longest = step.parts.iter().map(|part| part.seconds.high).fold(f64::MIN_POSITIVE, f64::max);
    html! {
        h3 { (name) ", " (size) }
        @if step.parts.iter().all(|part| part.seconds.likely == 0.0) { p.none { "Unknown: " (step.missing.join("; ")) } }
        @else {
            p.rate {
                b { @if is_partial(step) { "at most " } (short(step.tokens_per_second.likely)) " tokens/s" }
                " band " (short(step.tokens_per_second.low)) " – " (short(step.tokens_per_second.high))
                @if let (Some(bound), Some(part)) = (step.bound_tokens_per_second, step.bound_by) {
                    "; never above " (short(bound)) " (" (part.name()) ")"
                }
            }
            div.lanes.times { @for part in &step.parts { (lane(part, step, longest)) } }
            @if let Some(text) = binding(step) { p { b { (text) "." } } }
        }
        @if !(step.missing.is_empty() && step.assumed.is_empty()) {
            ul.note {
                @for note in &step.missing { li { b { "missing: " } (note) } }
                @for note in &step.assumed { li { "assumed: " (note) } }
            }
        }
    }
}

fn lane(part: &PartTime, step: &Projection, longest: f64) -> Markup {
    let width = |seconds: f64| (seconds / longest * 100.0).clamp(0.0, 100.0);
    let Band { low, likely, high } = part.seconds;
    let binds = step.binding == Some(part.part);
    html! {
        span { @if binds { b { (part.part.name()) } } @else { (part.part.name()) } }
        span.bar.second[binds] aria-hidden="true" {
            i style=(format!("width:{:.2}%", width(likely))) {}
            u style=(format!("left:{:.2}%;width:{:.2}%", width(low), width(high) - width(low))) {}
        }
        span.number { (time(likely)) }
        span.about {
            (percent(likely / step.seconds.likely)) ", band " (time(low)) " – " (time(high)) ", " (part.origin.name()) ": " (part.what)
        }
    }
}

/// Seconds in the unit that suits them.
fn time(seconds: f64) -> String {
    if seconds == 0.0 { "0".to_owned() } else { plain(Unit::Seconds, seconds) }
}

/// Tokens a second over one quantity, with the band; what does not fit is named.
fn drawn(sweep: &Sweep) -> Markup {
    let fitting = || sweep.rows.iter().filter(|row| row.does_not_fit.is_none());
    let title = format!("Tokens a second by {}", sweep.axis.name());
    let marks = fitting().map(|row| Mark {
        at: [row.x, row.tokens_per_second.likely],
        interval: Some([row.tokens_per_second.low, row.tokens_per_second.high]),
        ink: Ink::Series(0),
        shape: Shape::of(0),
        hollow: !row.missing.is_empty(),
        title: format!(
            "{} {}: {} tokens/s, {} binds",
            sweep.axis.name(),
            row.label,
            short(row.tokens_per_second.likely),
            row.binding.map_or("nothing", |part| part.name())
        ),
    });
    let marks: Vec<Mark> = marks.collect();
    let described: Vec<&str> = marks.iter().map(|mark| mark.title.as_str()).collect();
    let chart = Chart {
        id: format!("sweep-{}", sweep.axis.name().replace(' ', "-")),
        description: described.join("; "),
        x: Axis::log(sweep.axis.name(), fitting().map(|row| row.x)),
        y: Axis::from_zero(
            "tokens/s, all sequences",
            fitting().map(|row| row.tokens_per_second.high),
        ),
        lines: vec![Line {
            points: marks.iter().map(|mark| mark.at).collect(),
            ink: Ink::Series(0),
            dashed: false,
            label: Label::None,
        }],
        title: title.clone(),
        marks,
    };
    let beyond: Vec<_> =
        sweep.rows.iter().filter_map(|row| Some((row, row.does_not_fit.as_ref()?))).collect();
    html! {
        figure {
            h3 { (title) }
            @if fitting().next().is_some() { (chart.draw()) }
            figcaption {
                "Bars are bands; outlines lack an input. "
                @if let Some((row, why)) = beyond.first() { "From " (row.label) " on it does not fit: " (why) "." }
            }
        }
    }
}

fn table(sweep: &Sweep) -> Markup {
    html! {
        table.stack role="table" {
            thead role="rowgroup" { tr role="row" {
                @for column in [sweep.axis.name(), "tokens/s", "band", "binds"] { th role="columnheader" scope="col" { (column) } }
            } }
            tbody role="rowgroup" {
                @for row in &sweep.rows {
                    @let rate = row.tokens_per_second;
                    tr role="row" {
                        td role="cell" { (row.label) }
                        @if let Some(why) = &row.does_not_fit { td.quiet.wide role="cell" colspan="3" { "does not fit: " (why) } }
                        @else {
                            td role="cell" { b { (short(rate.likely)) } }
                            td.quiet role="cell" { (short(rate.low)) " – " (short(rate.high)) }
                            td role="cell" { (row.binding.map_or("–", |part| part.name())) }
                        }
                    }
                }
            }
        }
    }
}

/// Every figure of the host that was used, with its origin.
fn inputs(analysis: &Analysis) -> Markup {
    html! {
        details {
            summary { "The figures behind it" }
            table.stack role="table" {
                thead role="rowgroup" { tr role="row" {
                    @for column in ["input", "value", "origin"] { th role="columnheader" scope="col" { (column) } }
                } }
                tbody role="rowgroup" {
                    @for input in &analysis.inputs {
                        tr role="row" {
                            td role="cell" { (input.name) }
                            td role="cell" { (short(input.figure.value)) }
                            td.quiet.wide role="cell" { (input.figure.origin.name()) ": " (input.figure.source) }
                        }
                    }
                }
            }
        }
    }
}
