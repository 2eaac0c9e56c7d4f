//! `hostdyno peers [RUN]`: our products beside others', from a run that measured both.

use std::path::PathBuf;

use clap::Args;

use super::output::{Output, complain};
use crate::record::atomic;
use crate::record::store::Store;
use crate::report::model::Peers;
use crate::report::{markdown, terminal};
use crate::{Error, Result};

/// Which run, and where to keep the table.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Name of a run, the beginning of it, its label (newest run with it), or its directory; default: newest run
    run: Option<String>,
    /// Write the table there as Markdown, with the host that it was measured on
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Shows the ratios.
///
/// # Errors
/// The run can't be read or has no peers, or the file can't be written.
pub fn run(arguments: &Arguments, store: &Store, output: &Output) -> Result<()> {
    let run = store.read(arguments.run.as_deref())?;
    for problem in &run.problems {
        complain("warning", problem);
    }
    let peers = Peers::new(&run);
    if peers.rows.is_empty() {
        return Err(Error::input(
            format!("run {} has no product of a peer", run.name),
            "Measure some: `cargo bench --features peers --bench gemm`; on a GPU, `./setup.sh --cublas` first",
        ));
    }
    if let Some(file) = &arguments.markdown {
        atomic::write(file, markdown::peers(&peers).as_bytes())?;
    }
    output.print("peers", &peers, terminal::peers)
}
