//! The command line: `main` only dispatches.

fn main() -> std::process::ExitCode {
    hostdyno::cli::run()
}
