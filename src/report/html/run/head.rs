//! What one reads first: which run, a number for each part, what is worth looking at, on which host.

use maud::{Markup, html};

use super::rows::{bar, name, state};
use crate::report::findings::Finding;
use crate::report::model::{Headline, HostLine, PartReport, Row, RunHead};
use crate::report::quantity::{self, percent};

/// Which run, how it was taken, how much of it can be trusted.
pub fn head(run: &RunHead) -> Markup {
    let benches: Vec<&str> = run.benches.iter().map(|bench| bench.bench.as_str()).collect();
    let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
    html! {
        header {
            p.over { "hostdyno run" }
            h1 { (run.name) }
            ul.facts {
                @if let Some(label) = &run.label { li { "label " b { (label) } } }
                li { "profile " b { (or_none(run.profiles.join(" and "))) } }
                li { "started " b { (run.started.as_deref().unwrap_or("at an unknown time")) } }
                li { "benches " b { (or_none(benches.join(", "))) } }
                li { "hostdyno " b { (or_none(run.versions.join(" and "))) } }
            }
            ul.states aria-label="Metrics in each state" {
                @for (of, count) in run.states.present() { li { b { (count) } " " (state(of, of.name())) } }
                @if run.states.present().next().is_none() { li { "no metrics" } }
            }
            @if !run.complete {
                p.alert role="note" { b { "Incomplete: " } (run.why_incomplete()) }
            }
        }
    }
}

/// The figure that stands for each part, against its ceiling.
pub fn glance(parts: &[PartReport]) -> Markup {
    html! {
        p.lead { "The best figure of each part, and how much of that part's ceiling it reaches. Hatched bars are doubtful; the line over a bar is the 95 % interval." }
        ul.glance {
            @for part in parts {
                li {
                    span.part { (part.part.name()) }
                    @match &part.headline {
                        Headline::Figure(row) => (figure(row)),
                        Headline::None(why) => span.why { (why) },
                    }
                }
            }
        }
    }
}

fn figure(row: &Row) -> Markup {
    let value = row.summary.as_ref().map(|summary| quantity::of_summary(row.unit, summary).value);
    html! {
        span.value { (value.unwrap_or_default()) }
        @if row.share.is_some() { (bar(row)) } @else { span.quiet { "ceiling unknown" } }
        (state(row.state, &row.state_text()))
        span.about {
            @if let (Some(share), Some(ceiling)) = (row.share, &row.ceiling) {
                (percent(share)) " of " (quantity::plain(row.unit, ceiling.value)) " " (ceiling.origin.name()) ": "
            }
            (name(row.id.as_str()))
        }
    }
}

/// Everything worth looking at, most important first.
pub fn findings(findings: &[Finding]) -> Markup {
    html! {
        @if findings.is_empty() { p.none { "Nothing stands out." } }
        @else {
            p.lead { "Most important first, with what to do next. hostdyno itself changes no setting." }
            ol.findings {
                @for finding in findings { li { (prose(&finding.what)) " " span.next { (prose(&finding.next)) } } }
            }
        }
    }
}

/// Text in which backticks set commands apart.
fn prose(text: &str) -> Markup {
    html! {
        @for (index, piece) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

/// The host in the order in which it is read.
pub fn host(lines: &[HostLine]) -> Markup {
    html! {
        @if lines.is_empty() { p.none { "Unknown: this run has no readable host.json." } }
        @else { dl.host { @for line in lines { dt { (line.label) } dd { (line.text) } } } }
    }
}
