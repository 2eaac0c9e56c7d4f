//! An environment, class by class, every field with its status.

use comfy_table::Cell;
use comfy_table::CellAlignment::Left;

use super::screen::{Screen, Tone, cell, printable};
use super::table::{fitted, table};
use crate::host::HostRecord;
use crate::host::environment::{Field, Status};
use crate::report::model::{CLASSES, host_block, value_text};

/// Values longer than this are cut: CPU flags fill a screen, and `--json` has them whole.
const LONGEST_VALUE: usize = 60;

/// The host in short, then its fields; those that could not be read are counted, and shown when `all` is asked for.
pub fn render(screen: Screen, host: &HostRecord, all: bool) -> String {
    let mut text = screen.heading("host") + &super::host(screen, &host_block(host));
    for (class, title) in CLASSES {
        let fields: Vec<(&String, &Field)> =
            host.environment.0.iter().filter(|(_, field)| field.class == class).collect();
        let (read, unread): (Vec<_>, Vec<_>) =
            fields.iter().partition(|(_, field)| field.status == Status::Ok);
        text += "\n";
        text += &screen.heading(title);
        let shown = if all { fields } else { read };
        if !shown.is_empty() {
            let rows: Vec<_> = shown.into_iter().map(|(name, field)| row(name, field)).collect();
            let columns = [("field", Left), ("value", Left), ("status", Left)];
            text += &fitted(screen, || table(screen, &columns, rows.clone()));
        }
        if !all && !unread.is_empty() {
            text += &screen.paragraph("  ", &not_read(&unread));
        }
    }
    text
}

fn row(name: &str, field: &Field) -> Vec<Cell> {
    let value = value_text(&field.value);
    let mut shown: String = printable(&value).chars().take(LONGEST_VALUE).collect();
    if shown.len() < printable(&value).len() {
        shown.push_str("...");
    }
    let tone = match field.status {
        Status::Ok => Tone::Good,
        Status::Absent => Tone::Quiet,
        Status::Denied => Tone::Doubtful,
        Status::Garbled => Tone::Bad,
    };
    vec![Cell::new(printable(name)), Cell::new(shown), cell(tone, field.status.name())]
}

/// `12 absent, 2 denied (pci...), not shown: --all`.
fn not_read(fields: &[(&String, &Field)]) -> String {
    let counts: Vec<String> = [Status::Absent, Status::Denied, Status::Garbled]
        .into_iter()
        .filter_map(|status| {
            let names: Vec<&str> = fields
                .iter()
                .filter(|(_, field)| field.status == status)
                .map(|(name, _)| name.as_str())
                .collect();
            let count = names.len();
            match (status, names.first()) {
                (_, None) => None,
                (Status::Absent, _) => Some(format!("{count} absent")),
                (_, Some(first)) => Some(format!("{count} {} (first {first})", status.name())),
            }
        })
        .collect();
    format!("{}; --all shows them", counts.join(", "))
}
