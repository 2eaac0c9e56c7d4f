//! Where a token's time goes, as text.

mod points;
mod sweeps;
mod target;

use comfy_table::{Cell, CellAlignment};

use super::screen::{Screen, Tone, cell};
use super::table::{first_that_fits, fitted, table};
use crate::bottleneck::{Analysis, Band, Part, PartTime, Phase, Placement, Projection};
use crate::report::quantity::percent;

pub use points::checks;

const LEFT: CellAlignment = CellAlignment::Left;
const RIGHT: CellAlignment = CellAlignment::Right;

/// The whole answer.
pub fn render(screen: Screen, analysis: &Analysis) -> String {
    let mut blocks = vec![
        head(screen, analysis),
        step(screen, &analysis.decode),
        memory(screen, analysis),
        step(screen, &analysis.prefill),
    ];
    if !analysis.policies.is_empty() {
        blocks.push(policies(screen, analysis));
    }
    if let Some(target) = &analysis.target {
        blocks.push(target::render(screen, target, &analysis.decode));
    }
    blocks.extend(analysis.sweeps.iter().map(|sweep| sweeps::render(screen, sweep)));
    if !analysis.experts.is_empty() {
        blocks.push(points::experts(screen, analysis));
    }
    blocks.push(inputs(screen, analysis));
    blocks.join("\n")
}

fn head(screen: Screen, analysis: &Analysis) -> String {
    let m = &analysis.model;
    let model = format!(
        "{}: {:.3}e9 weights, {:.2}e9 of them a token",
        m.name,
        m.parameters as f64 / 1e9,
        m.active / 1e9
    );
    let stored = format!(
        "{} ({:.2} bits a weight): {:.1} GB, {:.2} GB read a token; cache {} of {:.0} B a token",
        analysis.format, m.bits, m.stored_gb, m.read_gb, analysis.kv_format, m.kv_bytes
    );
    screen.heading(&super::printable(&model))
        + &screen.paragraph("  ", &stored)
        + &screen.paragraph("  on ", &analysis.host)
}

/// A band as `12.3 (8.1 - 18.0)`.
fn band(band: Band, scale: f64) -> String {
    let digits = |value: f64| short(value * scale);
    format!("{} ({} - {})", digits(band.likely), digits(band.low), digits(band.high))
}

/// Three significant digits.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.0995 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

fn step(screen: Screen, step: &Projection) -> String {
    let (title, per) = match step.phase {
        Phase::Decode => {
            let ranks = match step.tensor_parallel {
                1 => String::new(),
                ranks => format!(", tensor parallel {ranks}"),
            };
            (format!("decode, batch {}, context {}{ranks}", step.batch, step.context), "ms a step")
        }
        Phase::Prefill => (format!("prefill of {} tokens", step.context), "ms"),
    };
    let mut text = screen.heading(&title);
    if step.parts.iter().all(|part| part.seconds.likely == 0.0) {
        return text + &screen.paragraph("  ", &format!("unknown: {}", step.missing.join("; ")));
    }
    let at_most = if is_partial(step) { "at most " } else { "" };
    let rate = screen.paint(
        Tone::Strong,
        &format!("{at_most}{} tokens/s", short(step.tokens_per_second.likely)),
    );
    text += &format!(
        "  {rate}, band {} - {}{}\n",
        short(step.tokens_per_second.low),
        short(step.tokens_per_second.high),
        match (step.bound_tokens_per_second, step.bound_by) {
            (Some(bound), Some(part)) =>
                format!("; never above {} ({})", short(bound), part.name()),
            _ => String::new(),
        }
    );
    text += &parts(screen, step, per);
    text += &binding(step).map_or_else(String::new, |binds| screen.paragraph("  ", &binds));
    for note in &step.missing {
        text += &screen.paragraph("  missing: ", note);
    }
    for note in &step.assumed {
        text += &screen.paragraph("  assumed: ", note);
    }
    text
}

/// Whether a part is left out without which the rest is no prediction.
pub fn is_partial(step: &Projection) -> bool {
    step.missing.iter().any(|note| essential(note))
}

/// Whether what is left out may be most of the time.
fn essential(missing: &str) -> bool {
    ["gpu.vram_read", "dram.", "nvme.", "gpu.bf16", "cpu.tflops or"]
        .iter()
        .any(|key| missing.starts_with(key))
}

fn parts(screen: Screen, step: &Projection, per: &str) -> String {
    /// Columns of a bar.
    const BAR: usize = 20;
    let total = step.seconds.likely;
    let row = |time: &PartTime, wide: bool| {
        let share = time.seconds.likely / total;
        let tone = if Some(time.part) == step.binding { Tone::Strong } else { Tone::Quiet };
        let mut cells = vec![
            cell(tone, time.part.name()),
            Cell::new(short(time.seconds.likely * 1e3)),
            Cell::new(format!(
                "{} - {}",
                short(time.seconds.low * 1e3),
                short(time.seconds.high * 1e3)
            )),
            Cell::new(percent(share)),
            Cell::new("#".repeat((share * BAR as f64).round() as usize)),
            Cell::new(time.origin.name()),
        ];
        if wide {
            cells.push(cell(Tone::Quiet, super::printable(&time.what).into_owned()));
        }
        cells
    };
    let draw = |wide: bool| {
        let mut columns = vec![
            ("part", LEFT),
            (per, RIGHT),
            ("band", RIGHT),
            ("share", RIGHT),
            ("", LEFT),
            ("origin", LEFT),
        ];
        if wide {
            columns.push(("what", LEFT));
        }
        let mut rows: Vec<Vec<Cell>> = step.parts.iter().map(|time| row(time, wide)).collect();
        let all = [
            cell(Tone::Strong, "all"),
            Cell::new(short(total * 1e3)),
            Cell::new(format!(
                "{} - {}",
                short(step.seconds.low * 1e3),
                short(step.seconds.high * 1e3)
            )),
        ];
        rows.push(all.to_vec());
        table(screen, &columns, rows)
    };
    first_that_fits(screen, &[true, false], draw).map_or_else(String::new, |(text, _)| text)
}

/// Which part binds, and how far the second is from it.
pub fn binding(step: &Projection) -> Option<String> {
    let seconds = |part: Part| step.part(part).map_or(0.0, |time| time.seconds.likely);
    let first = step.binding?;
    let mut text = format!(
        "{} binds: {} of {} ms",
        first.name(),
        short(seconds(first) * 1e3),
        short(step.seconds.likely * 1e3)
    );
    if let (Some(second), Some(gap)) = (step.second, step.gap) {
        text += &format!("; second-tightest is {}, {:.1} times less", second.name(), gap);
    }
    Some(text)
}

fn memory(screen: Screen, analysis: &Analysis) -> String {
    let place: &Placement = &analysis.placement;
    let mut text = screen.heading("memory");
    let mut lines = Vec::new();
    if place.routed_gb > 0.0 {
        let shares = [(place.vram, "VRAM"), (place.dram, "DRAM"), (place.nvme, "NVMe")];
        let shares = shares.iter().filter(|(share, _)| *share > 0.0);
        let shares: Vec<String> =
            shares.map(|(share, name)| format!("{} in {name}", percent(*share))).collect();
        lines.push(format!("{:.1} GB of routed experts: {}", place.routed_gb, shares.join(", ")));
    }
    let other = if place.other_in_vram { "VRAM" } else { "DRAM" };
    lines.push(format!(
        "{:.1} GB of other weights and {:.2} GB of cache in {other}",
        place.other_gb, place.kv_gb
    ));
    for (name, (needs, has)) in [("VRAM", place.vram_gb), ("DRAM", place.dram_gb)] {
        if needs > 0.0 {
            let has = has.map_or("size unknown".to_owned(), |has| format!("of {has:.0} GB"));
            lines.push(format!("{name}: {needs:.1} GB {has}"));
        }
    }
    if let (Some(context), Some(batch)) = (analysis.longest_context, analysis.largest_batch) {
        let step = &analysis.decode;
        let contexts = if context >= analysis.model.context {
            format!("the model's whole context of {context} fits with batch {}", step.batch)
        } else {
            format!("out of memory beyond context {context} with batch {}", step.batch)
        };
        lines.push(format!(
            "{contexts}; out of memory beyond batch {batch} with context {}",
            step.context
        ));
    }
    for line in lines {
        text += &screen.paragraph("  ", &line);
    }
    text
}

fn policies(screen: Screen, analysis: &Analysis) -> String {
    let columns = [
        ("experts on several sockets", LEFT),
        ("DRAM GB/s", RIGHT),
        ("tokens/s", RIGHT),
        ("binds", LEFT),
    ];
    let text = fitted(screen, || {
        let rows = analysis.policies.iter().map(|line| {
            let tone = if line.policy == analysis.policy { Tone::Strong } else { Tone::Quiet };
            let unknown = line.unknown.clone().unwrap_or_default();
            vec![
                cell(tone, line.policy.name()),
                Cell::new(line.dram_gb_s.map_or_else(String::new, short)),
                Cell::new(line.tokens_per_second.map_or(unknown, |b| band(b, 1.0))),
                Cell::new(line.binding.map_or("", Part::name)),
            ]
        });
        table(screen, &columns, rows.collect())
    });
    screen.heading("placement on sockets") + &text
}

fn inputs(screen: Screen, analysis: &Analysis) -> String {
    let c = &analysis.constants;
    let columns = [("input", LEFT), ("value", RIGHT), ("origin", LEFT), ("source", LEFT)];
    let text = fitted(screen, || {
        let rows = analysis.inputs.iter().map(|input| {
            vec![
                Cell::new(input.name),
                Cell::new(short(input.figure.value)),
                Cell::new(input.figure.origin.name()),
                cell(Tone::Quiet, super::printable(&input.figure.source).into_owned()),
            ]
        });
        table(screen, &columns, rows.collect())
    });
    let fitted = format!(
        "where the host does not tell: eta {:.2}, {:.1} us a kernel, attention {:.1} FLOP a byte of memory read, fitted to \
         published points (`hostdyno bottleneck --check`); {}",
        c.eta, c.kernel_us, c.attention_flops_per_byte, analysis.decode.overlap
    );
    screen.heading("inputs") + &text + &screen.paragraph("  ", &fitted)
}
