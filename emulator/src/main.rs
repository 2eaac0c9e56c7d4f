//! `emulator corpus DIR`: run every case of a corpus of compiled kernels.
//! `emulator install DIR`: lay the driver down as `libcuda.so.1`.

use clap::{Parser, Subcommand};
use emulator::corpus::{self, Options};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A CUDA driver that executes PTX on the CPU, for tests. It never shows speed.
#[derive(Parser)]
#[command(version)]
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
        /// Lay down libcublasLt.so, too
        #[arg(long)]
        cublaslt: bool,
    },
    /// Run the kernels of DIR (manifest.json, NAME.ptx, NAME.safetensors) and compare their outputs
    ///
    /// Closes with the line `N passed, N failed`. Exit code 0: all passed; 1: one failed; 2: not a
    /// corpus.
    Corpus {
        /// The folder
        dir: PathBuf,
        /// Warp schedule: 0 runs warps in order, any other value permutes them, reproducibly
        #[arg(long, default_value_t = 0)]
        seed: u64,
        /// Run only cases with this in their name
        #[arg(long, default_value = "")]
        filter: String,
        /// Print each launch's counters
        #[arg(long)]
        counters: bool,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().verb {
        Verb::Install { dir, cublaslt } => install(&dir, cublaslt),
        Verb::Corpus { dir, seed, filter, counters } => {
            run_corpus(&dir, &Options { seed, filter, ..Options::default() }, counters)
        }
    }
}

fn install(dir: &Path, cublaslt: bool) -> ExitCode {
    let laid = emulator::driver::install(dir).and_then(|()| match cublaslt {
        true => emulator::driver::install_cublaslt(dir, dir),
        false => Ok(()),
    });
    match laid {
        Ok(()) => {
            println!("LD_LIBRARY_PATH={}", dir.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("emulator: cannot install into {}: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}

fn run_corpus(dir: &Path, options: &Options, counters: bool) -> ExitCode {
    let results = match corpus::run(dir, options) {
        Ok(results) => results,
        Err(error) => {
            eprintln!("emulator: not a corpus: {error}");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for result in &results {
        match &result.outcome {
            Ok(found) if counters => println!("ok   {}: {found:?}", result.name),
            Ok(_) => println!("ok   {}", result.name),
            Err(reason) => {
                failed += 1;
                println!("FAIL {}: {reason}", result.name);
            }
        }
    }
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
