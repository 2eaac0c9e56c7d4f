//! Where a verb's result goes, as text or as JSON.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use super::Common;
use crate::report::json;
use crate::report::terminal::Screen;
use crate::{Error, Result};

/// How results are printed.
pub struct Output {
    json: bool,
    screen: Screen,
}

impl Output {
    /// As the common options ask.
    pub fn new(common: &Common) -> Self {
        Self { json: common.json, screen: Screen::stdout(common.no_color) }
    }

    /// The same, but as JSON, whatever the common options say.
    pub fn as_json(&self) -> Self {
        Self { json: true, screen: self.screen }
    }

    /// Prints `content` as a JSON object of `kind`, or as the text that `draw` makes of it.
    ///
    /// # Errors
    /// Standard output can't be written. A closed pipe (`| head`) is not an error: the reader has enough.
    pub fn print<T: Serialize>(
        &self,
        kind: &str,
        content: &T,
        draw: impl FnOnce(Screen, &T) -> String,
    ) -> Result<()> {
        let text = if self.json {
            json::render(kind, content).map_err(|e| {
                Error::os("can't form the JSON", e.into(), "Report this as a defect")
            })?
        } else {
            draw(self.screen, content)
        };
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|e| {
                Error::os("can't write to standard output", e, "Check the disk or pipe behind it")
            }),
        }
    }
}

/// Tells the user something on standard error, as `warning: ...`.
pub fn complain(kind: &str, text: &str) {
    // Nowhere is left to tell that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{kind}: {}", crate::report::terminal::printable(text));
}
