//! `emulator install DIR`: lay the driver down as `libcuda.so.1`.

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A CUDA driver that executes PTX on the CPU, for tests. It never shows speed.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lay the driver into DIR as libcuda.so.1; programs then run on it with LD_LIBRARY_PATH=DIR
    Install {
        /// The folder; made if it is missing
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Install { dir } => emulator::driver::install(&dir)
            .map(|()| println!("LD_LIBRARY_PATH={}", dir.display()))
            .map_err(|error| format!("cannot install into {}: {error}", dir.display())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("emulator: {message}");
            ExitCode::FAILURE
        }
    }
}
