//! The machine-readable form of every verb: one object with `schema` and `kind`, and the content under
//! the kind's own name. The shape is documented in `results/README.md`.

use serde::Serialize;

/// Version of these objects; raised when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// `content` as the JSON object of `kind`, pretty-printed, with a newline at the end.
///
/// # Errors
/// A value that JSON has no form for.
pub fn render(kind: &str, content: &impl Serialize) -> serde_json::Result<String> {
    let object = serde_json::json!({ "schema": SCHEMA, "kind": kind, kind: content });
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}
