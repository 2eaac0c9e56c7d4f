//! Reports as text: for a terminal of any width, or for a pipe.

pub mod bottleneck;
pub mod compare;
mod environment;
mod figure;
mod noise_floor;
mod notes;
mod part;
pub mod peers;
pub mod qualify;
mod run;
mod screen;
mod summary;
mod table;

#[cfg(test)]
mod tests;

use super::findings::Finding;
use super::model::{HostLine, Report, Skipped};
use screen::Tone;

pub use environment::render as environment;
pub use noise_floor::render as noise_floor;
pub use peers::render as peers;
pub use run::list as runs;
pub use screen::{Screen, printable};

/// Names of skipped metrics spelled out for each cause before the rest is only counted.
const SKIPPED_NAMES: usize = 4;

/// The whole report, with the `most` most important findings.
pub fn report(screen: Screen, report: &Report, most: usize) -> String {
    let mut blocks = vec![
        run::head(screen, &report.run) + &host(screen, &report.host),
        summary::render(screen, &report.parts),
    ];
    blocks.extend(report.parts.iter().map(|part| part::render(screen, part)));
    blocks.push(skipped(screen, &report.skipped));
    blocks.push(findings(screen, &report.findings, most));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

fn host(screen: Screen, lines: &[HostLine]) -> String {
    if lines.is_empty() {
        return screen.paragraph(
            &format!("  {}: ", screen.paint(Tone::Doubtful, "host")),
            "unknown: this run has no readable host.json",
        );
    }
    let widest = lines.iter().map(|line| line.label.len()).max().unwrap_or(0);
    lines
        .iter()
        .map(|line| {
            let label = screen.paint(Tone::Quiet, &format!("{:widest$}", line.label));
            screen.paragraph(&format!("  {label}  "), &line.text)
        })
        .collect()
}

fn skipped(screen: Screen, groups: &[Skipped]) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let mut text = screen.heading("skipped, and why");
    for group in groups {
        let parts: Vec<_> = group.parts.iter().map(|part| part.name()).collect();
        text += &screen.paragraph("  ", &format!("{}: {}", parts.join(", "), group.cause));
        let named: Vec<_> =
            group.metrics.iter().take(SKIPPED_NAMES).map(|id| id.as_str()).collect();
        let more = match group.metrics.len() - named.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        text += &screen.paragraph("    ", &(named.join(", ") + &more));
    }
    text
}

fn findings(screen: Screen, findings: &[Finding], most: usize) -> String {
    let shown = findings.len().min(most);
    let mut text = screen.heading(match shown {
        0 => "nothing stands out",
        1 => "the one thing most worth looking at",
        2 => "the two things most worth looking at",
        3 => "the three things most worth looking at",
        _ => "most worth looking at, in this order",
    });
    for (index, finding) in findings.iter().take(shown).enumerate() {
        let number = screen.paint(Tone::Strong, &format!("{}.", index + 1));
        text += &screen.paragraph(&format!("  {number} "), &finding.what);
        text += &screen.paragraph("     -> ", &finding.next);
    }
    if findings.len() > shown {
        let more = format!("{} more: --findings {}", findings.len() - shown, findings.len());
        text += &screen.paragraph("  ", &more);
    }
    text
}
