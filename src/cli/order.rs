//! `hostdyno order A B`: in which order to measure two settings, so that what drifts with time does not look like one
//! of them. It changes nothing.

use clap::Args;
use serde::Serialize;

use super::output::Output;
use crate::Result;

/// Which settings.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Label of the first setting
    a: String,
    /// Label of the second
    b: String,
    /// How often each is measured
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=100))]
    times: u32,
    /// The setting needs a reboot: each measurement is a boot
    #[arg(long)]
    reboot: bool,
}

#[derive(Serialize)]
struct Order {
    /// Labels, in order.
    order: Vec<String>,
    /// What to type.
    steps: Vec<String>,
}

/// Prints the order A B B A A B B A ...
///
/// # Errors
/// Standard output can't be written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let order: Vec<String> = (0..2 * arguments.times)
        .map(|i| if matches!(i % 4, 0 | 3) { &arguments.a } else { &arguments.b }.clone())
        .collect();
    let mut steps = Vec::new();
    let mut set = None;
    for label in &order {
        let reboot = if arguments.reboot { " and reboot" } else { "" };
        match set == Some(label) {
            false => steps.push(format!("set {label}{reboot}")),
            true if arguments.reboot => steps.push("reboot".to_owned()),
            true => {}
        }
        set = Some(label);
        steps.push(format!("HOSTDYNO_LABEL={label} cargo bench"));
    }
    steps.push(format!("hostdyno compare {} -- {}", arguments.a, arguments.b));
    output.print("order", &Order { order, steps }, |_, order| {
        let lines = order.steps.iter().enumerate();
        lines.map(|(index, step)| format!("{:3}. {step}\n", index + 1)).collect()
    })
}
