//! What could not run, what the run was measured on, and how to read it all.

use maud::{Markup, html};

use super::rows::{name, state};
use crate::host::HostRecord;
use crate::host::environment::Status;
use crate::record::State;
use crate::report::model::{CLASSES, Skipped, value_text};

/// What could not run, by cause.
pub fn skipped(groups: &[Skipped]) -> Markup {
    html! {
        @if groups.is_empty() { p.none { "Nothing was skipped." } }
        @for group in groups {
            h3 { (group.cause) }
            p.note { (group.parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ")) ": "
                @for (index, id) in group.metrics.iter().enumerate() { @if index > 0 { ", " } (name(id.as_str())) } }
        }
    }
}

/// Every field of the environment, class by class, with its source.
pub fn environment(host: Option<&HostRecord>) -> Markup {
    let Some(host) = host else {
        return html! { p.none { "Unknown: this run has no readable host.json." } };
    };
    html! {
        p.lead { "What of the machine, its firmware, its kernel and its surroundings could be read without root, and from where." }
        @for (class, title) in CLASSES {
            @let fields: Vec<_> = host.environment.0.iter().filter(|(_, field)| field.class == class).collect();
            @let unread = fields.iter().filter(|(_, field)| field.status != Status::Ok).count();
            details {
                summary { (title) " " span.quiet { "(" (fields.len()) " fields" @if unread > 0 { ", " (unread) " not read" } ")" } }
                table.stack.fields role="table" {
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { "field" } th role="columnheader" scope="col" { "value" }
                        th role="columnheader" scope="col" { "read from" }
                    } }
                    tbody role="rowgroup" {
                        @for (field_name, field) in &fields {
                            tr role="row" {
                                td.wide role="cell" { (name(field_name)) }
                                td.wide role="cell" {
                                    @if field.status == Status::Ok { (value_text(&field.value)) }
                                    @else { span.quiet { (field.status.name()) @if !field.value.is_null() { ": " (value_text(&field.value)) } } }
                                }
                                td.wide.quiet role="cell" { (name(&field.source)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the words and signs mean.
pub fn guide() -> Markup {
    let states = [
        (
            State::Ok,
            "verified before and after timing, steady, not above its ceiling. Only such a figure can be relied on.",
        ),
        (
            State::Noisy,
            "right, but the 95 % interval of its median stayed wider than the target within the time budget: use it with its interval.",
        ),
        (State::Throttled, "right, but the device lowered its clocks meanwhile: a lower bound."),
        (State::Skipped, "this host can't run it; the cause is recorded."),
        (
            State::Invalid,
            "the output was wrong, or it was faster than its ceiling: there is no figure.",
        ),
    ];
    html! {
        dl.guide {
            @for (of, meaning) in states { dt { (state(of, of.name())) } dd { (meaning) } }
            dt { "Median and interval" }
            dd { "The median of all samples, and the 95 % interval of that median from order statistics. Samples of one process are not independent: "
                "compare settings by several runs (" code { "hostdyno compare" } "), not by two intervals of two runs." }
            dt { "Ceiling" }
            dd { "The most that the part could do for this metric: theoretical, from clocks and widths, or measured, the best micro-kernel on this host. "
                "The share is median over ceiling for rates, ceiling over median for times." }
            dt { "Hot, warm?" }
            dd { "Inputs are cold unless the state says otherwise: hot is on purpose, warm? means that coldness could not be proved." }
            dt { "Units" }
            dd { "1 GB is 10⁹ bytes, 1 GiB is 2³⁰. GB/s counts each byte read and each byte written once. op/s are floating-point or integer operations, "
                "a multiplication and an addition being two." }
        }
    }
}
