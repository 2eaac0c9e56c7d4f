//! A run as one page: what it found first, then the pictures, then every figure, then what it was measured on.

mod bottleneck;
mod charts;
mod figures;
mod head;
mod measured;
mod places;
mod rows;
#[cfg(test)]
mod tests;

use maud::{Markup, html};

use crate::bottleneck::Analysis;
use crate::record::store::Run;
use crate::report::model::Report;
use crate::report::model::pictures::Pictures;

/// The page of `run`, with what its figures mean for a model, or why that can't be told.
pub fn run(run: &Run, projection: Result<&Analysis, &str>) -> String {
    let report = Report::new(run);
    let pictures = Pictures::new(run);
    let sections = [
        ("glance", "A number for each part", head::glance(&report.parts)),
        ("bottleneck", "Where a token's time goes", bottleneck::bottleneck(projection)),
        ("findings", "Worth looking at", head::findings(&report.findings)),
        ("host", "The host", head::host(&report.host)),
        ("rooflines", "Rooflines", figures::rooflines(&pictures.rooflines)),
        ("memory", "Heat maps and curves", measured::measured(&report, &pictures.latency)),
        ("links", "Host and device", figures::copies(&pictures.copies)),
        ("loads", "Loading a model", figures::loads(&pictures.loads)),
        ("figures", "Every figure", rows::parts(&report.parts)),
        ("skipped", "Skipped, and why", places::skipped(&report.skipped)),
        ("environment", "Environment", places::environment(run.host.as_ref())),
        ("guide", "How to read this page", places::guide()),
    ];
    let body = html! {
        a.skip href="#glance" { "Skip to the figures" }
        (head::head(&report.run))
        nav aria-label="Sections" {
            ul { @for (id, title, _) in &sections { li { a href=(format!("#{id}")) { (title) } } } }
        }
        main { @for (id, title, content) in &sections { (section(id, title, content)) } }
        footer { "Written by hostdyno " (env!("CARGO_PKG_VERSION")) " from the records in " code { (report.run.path) } "." }
    };
    let title = format!("{} - hostdyno", report.run.name);
    let description = format!("What the run {} measured: {}", report.run.name, report.run.states);
    super::page(&title, &description, &body)
}

fn section(id: &str, title: &str, content: &Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby=(format!("{id}-heading")) {
            h2 id=(format!("{id}-heading")) { (title) }
            (content)
        }
    }
}
