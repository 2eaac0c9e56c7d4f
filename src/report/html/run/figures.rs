//! The pictures, each with what it shows, where its lines come from and what it leaves out.

use maud::{Markup, html};

use super::charts::{Axes, curves, roofline};
use super::rows::{name, state};
use crate::record::Unit;
use crate::report::model::pictures::{Load, Plot, Roof, Roofline};
use crate::report::quantity::{self, plain};

/// Kernels below the ceilings of their device.
pub fn rooflines(rooflines: &[Roofline]) -> Markup {
    html! {
        p.lead {
            "A kernel that does little arithmetic for each byte is bounded by memory, the slope; one that does much, by its format's "
            "arithmetic, the flat roof. The closer a mark is to the line above it, the less is left to gain."
        }
        @if rooflines.is_empty() { p.none { "This run measured no kernel with declared arithmetic and bytes." } }
        div.figures {
            @for (number, line) in rooflines.iter().enumerate() {
                figure {
                    h3 { (line.device) }
                    (roofline(line, number))
                    figcaption {
                        "Filled marks are ok, outlines noisy or throttled; bars are 95 % intervals. Labels at the right: the roof of each format. "
                        "Bytes are those declared, each counted once. "
                        @if line.compute.is_empty() { "No peak of arithmetic was measured in this run. " }
                        @if line.memory.is_empty() { "No bandwidth of memory was measured in this run. " }
                    }
                }
            }
        }
        @if !rooflines.is_empty() { (roofs(rooflines)) }
    }
}

/// Where the lines come from, and which kernels are no marks.
fn roofs(rooflines: &[Roofline]) -> Markup {
    let flat = |roof: &Roof| plain(Unit::TeraFlops, roof.value).replace("FLOP/s", "op/s");
    let slope = |roof: &Roof| plain(Unit::GigaBytes, roof.value);
    let all = rooflines.iter().flat_map(|line| {
        let compute = line.compute.iter().map(move |roof| (line.device, roof, flat(roof)));
        compute.chain(line.memory.iter().map(move |roof| (line.device, roof, slope(roof))))
    });
    let left_out: Vec<_> = rooflines.iter().flat_map(|line| &line.left_out).collect();
    html! {
        details {
            summary { "Where the lines come from" }
            table.stack role="table" {
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "device" } th role="columnheader" scope="col" { "roof" }
                    th.number role="columnheader" scope="col" { "value" } th role="columnheader" scope="col" { "source" }
                } }
                tbody role="rowgroup" {
                    @for (device, roof, value) in all {
                        tr role="row" {
                            td role="cell" { (device) } td role="cell" { (roof.name) }
                            td.number role="cell" { (value) }
                            td.quiet.wide role="cell" { (roof.origin.name()) ": " (name(&roof.source)) }
                        }
                    }
                }
            }
        }
        @if !left_out.is_empty() {
            h3 { "Not drawn" }
            ul.note { @for kernel in left_out { li { (name(&kernel.name)) ": " (kernel.why) } } }
        }
    }
}

/// Bandwidth of copies over their size.
pub fn copies(copies: &Plot) -> Markup {
    let axes = Axes {
        id: "copies",
        title: "Bandwidth of copies between host and device by size",
        x: ("bytes of one copy", true),
        y: ("GB/s", true),
        unit: Unit::GigaBytes,
    };
    html! {
        p.lead { "Copies between host memory and the device, by direction, kind of memory and place." }
        div.figures { (plot("Copies by size", &axes, copies, "Bars are 95 % intervals.")) }
    }
}

/// A plot in its frame, or why there is none.
pub fn plot(title: &str, axes: &Axes, plot: &Plot, caption: &str) -> Markup {
    html! {
        @if plot.curves.is_empty() { p.none { (plot.missing) } }
        @else {
            figure {
                h3 { (title) }
                (curves(axes, &plot.curves))
                figcaption { (caption) }
            }
        }
    }
}

/// Where the time of model loads goes.
pub fn loads(loads: &[Load]) -> Markup {
    let longest = loads.iter().flat_map(|l| l.stages.iter().map(|s| s.seconds).chain([l.seconds]));
    let longest = longest.fold(f64::MIN_POSITIVE, f64::max);
    let lane = |class: &str, stage: &str, seconds: f64| {
        html! {
            span.quiet { (stage) }
            span.bar.(class) aria-hidden="true" { i style=(format!("width:{:.2}%", (seconds / longest * 100.0).clamp(0.0, 100.0))) {} }
            span.number { (plain(Unit::Seconds, seconds)) }
        }
    };
    html! {
        p.lead { "Disk to memory, on one scale of seconds. Stages that run side by side add up to more than the whole." }
        @if loads.is_empty() { p.none { "This run did not measure a model load." } }
        div.loads {
            @for load in loads {
                div.load {
                    div.name {
                        span { (name(load.row.id.as_str())) " " (state(load.row.state, &load.row.state_text())) }
                        b { @if let Some(summary) = &load.row.summary { (quantity::of_summary(load.row.unit, summary).value) } }
                    }
                    div.lanes {
                        (lane("whole", "whole load", load.seconds))
                        @for (class, stage) in ["first", "second", "third"].iter().zip(&load.stages) { (lane(class, stage.name, stage.seconds)) }
                    }
                    p.note {
                        (format!("{:.2} GB. ", load.bytes as f64 / 1e9))
                        @if let Some(overlap) = load.overlap {
                            "The slower side fills " (quantity::percent(overlap)) " of the whole: at 100 % the other is hidden behind it."
                        }
                    }
                }
            }
        }
    }
}
