//! `hostdyno env`: this host's environment as it is now.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::Output;
use crate::host::{HostRecord, Root, bios};
use crate::report::terminal;
use crate::{Error, Result};

/// Whose environment, and how much of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A directory that stands for `/`: a copy of another host's /proc, /sys, /etc and /run
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Show what could not be read too
    #[arg(long)]
    all: bool,
}

/// Shows the environment.
///
/// # Errors
/// The root is not a directory, or the firmware export that `HOSTDYNO_BIOS` names can't be used.
pub fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let root = root(arguments.root.as_deref())?;
    let mut host = HostRecord::read(&root);
    host.environment.attach(bios::attached()?);
    output.print("env", &host, |screen, host| terminal::environment(screen, host, arguments.all))
}

/// The host under `directory`, or this one.
///
/// # Errors
/// It is not a directory.
pub fn root(directory: Option<&Path>) -> Result<Root> {
    match directory {
        None => Ok(Root::host()),
        Some(directory) if directory.is_dir() => Ok(Root::at(directory)),
        Some(other) => Err(Error::input(
            format!("{} is not a directory", other.display()),
            "Name a directory that holds proc/, sys/, etc/ and run/",
        )),
    }
}
