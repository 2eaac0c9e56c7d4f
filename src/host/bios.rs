//! Firmware settings that the user exported and attached with `HOSTDYNO_BIOS=FILE`: what decides much and what no
//! kernel tells.
//!
//! Read are the JSON of Redfish (`/redfish/v1/Systems/.../Bios`: an object with `Attributes`, also inside a larger
//! document, and server configuration profiles, whose attributes are lists of `Name` and `Value`), the output of
//! `ilorest get` as JSON or as text, and plain `key = value` lines. Anything else is refused: a comparison that silently
//! knows half of the settings is worse than one that knows none. Passwords and what identifies a machine or its owner
//! (serial numbers, tags, addresses) are left out.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::environment::{Class, Environment, Field, Status};
use crate::{Error, Result};

/// Environment variable that names the file.
pub const VARIABLE: &str = "HOSTDYNO_BIOS";
/// Beginning of the names of imported fields; the firmware's own name follows.
pub const PREFIX: &str = "bios.import.";

/// Exports are some hundred kB; a file beyond this is something else.
const MOST_BYTES: u64 = 16 << 20;
/// Parts of names, in lower case letters and digits only, of what is nobody's business.
const PRIVATE: [&str; 11] = [
    "password",
    "passwd",
    "serial",
    "assettag",
    "servicetag",
    "uuid",
    "macaddr",
    "ipaddress",
    "hostname",
    "ownertag",
    "adminemail",
];

/// The settings in the file that [`VARIABLE`] names; none where it is unset or empty.
///
/// # Errors
/// The file can't be read, or is in no known format.
pub fn attached() -> Result<Vec<(String, Field)>> {
    match std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
        None => Ok(Vec::new()),
        Some(name) => read(Path::new(&name)),
    }
}

/// The settings in `file`, as fields of an environment.
///
/// # Errors
/// It can't be read, or is in no known format.
pub fn read(file: &Path) -> Result<Vec<(String, Field)>> {
    let failed = |e| Error::path("read", file, e);
    let size = std::fs::metadata(file).map_err(failed)?.len();
    if size > MOST_BYTES {
        return Err(unknown(file, &format!("it has {size} bytes")));
    }
    let bytes = std::fs::read(file).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| unknown(file, "it is no text"))?;
    let settings = parse(text).map_err(|why| unknown(file, &why))?;
    let source = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let field = |value| Field {
        value,
        source: format!("{source} ({VARIABLE})"),
        status: Status::Ok,
        class: Class::Bios,
    };
    Ok(settings
        .into_iter()
        .map(|(name, value)| (format!("{PREFIX}{name}"), field(value)))
        .collect())
}

impl Environment {
    /// Adds fields, in place of those of the same name.
    pub fn attach(&mut self, fields: Vec<(String, Field)>) {
        self.0.extend(fields);
    }
}

fn unknown(file: &Path, why: &str) -> Error {
    Error::input(
        format!(
            "{VARIABLE}={}: no export of firmware settings that is known here ({why})",
            file.display()
        ),
        "Give the JSON of Redfish's Bios resource, the output of `ilorest get --json --select Bios.`, or lines of \
         key=value; or unset the variable",
    )
}

/// Settings by the firmware's names.
///
/// # Errors
/// Why `text` is no export.
pub fn parse(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut settings = if text.starts_with(['{', '[']) {
        let json: Value = serde_json::from_str(text).map_err(|e| format!("not whole JSON: {e}"))?;
        of_json(&json)?
    } else {
        of_lines(text)?
    };
    settings.retain(|name, _| {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        let plain = plain.to_ascii_lowercase();
        !PRIVATE.iter().any(|part| plain.contains(part))
    });
    if settings.is_empty() { Err("it holds no settings".into()) } else { Ok(settings) }
}

/// How deep documents nest that are read.
const DEEPEST: usize = 8;

fn of_json(json: &Value) -> Result<BTreeMap<String, Value>, String> {
    let mut found = BTreeMap::new();
    attributes(json, 0, &mut found)?;
    if found.is_empty()
        && let Value::Object(flat) = json
        && flat.values().all(is_setting)
    {
        // What ilorest selects: the attributes alone.
        insert(flat, &mut found)?;
    }
    match found.is_empty() {
        true => Err("JSON without an object or a list called Attributes".into()),
        false => Ok(found),
    }
}

fn is_setting(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Collects every `Attributes` in a document.
fn attributes(
    json: &Value,
    depth: usize,
    found: &mut BTreeMap<String, Value>,
) -> Result<(), String> {
    if depth > DEEPEST {
        return Ok(());
    }
    match json {
        Value::Array(list) => list.iter().try_for_each(|item| attributes(item, depth + 1, found)),
        Value::Object(fields) => {
            // Of a server's profile only the firmware's component: network cards have attributes too.
            let component = fields.get("FQDD").and_then(Value::as_str);
            if component.is_some_and(|name| !name.to_ascii_lowercase().contains("bios")) {
                return Ok(());
            }
            match fields.get("Attributes") {
                Some(Value::Object(settings)) => insert(settings, found),
                Some(Value::Array(list)) => list.iter().try_for_each(|entry| {
                    let name = entry.get("Name").and_then(Value::as_str);
                    match name.zip(entry.get("Value")) {
                        Some((name, value)) => put(name, value, found),
                        None => Err("a list of Attributes without Name and Value".into()),
                    }
                }),
                _ => fields.values().try_for_each(|value| attributes(value, depth + 1, found)),
            }
        }
        _ => Ok(()),
    }
}

fn insert(
    settings: &Map<String, Value>,
    found: &mut BTreeMap<String, Value>,
) -> Result<(), String> {
    let own = |name: &str| !name.contains('@');
    settings
        .iter()
        .filter(|(name, value)| own(name) && is_setting(value))
        .try_for_each(|(name, value)| put(name, value, found))
}

/// The same name with two values is no setting: the document is something else than an export of one host.
fn put(name: &str, value: &Value, found: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let value = match value {
        Value::String(text) => Value::from(text.trim()),
        other => other.clone(),
    };
    match found.insert(name.trim().to_owned(), value.clone()) {
        Some(before) if before != value => Err(format!("{name} is both {before} and {value}")),
        _ => Ok(()),
    }
}

/// `key = value` lines, with comments, blank lines and `[headings]` between them.
fn of_lines(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let mut found = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let heading = line.starts_with('[') && line.ends_with(']');
        if line.is_empty() || heading || line.starts_with(['#', ';']) || line.starts_with("//") {
            continue;
        }
        let number = index + 1;
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {number} is no key=value"));
        };
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        let sane = !name.is_empty() && !name.contains(['<', '>', '{', '}']) && name.len() <= 200;
        if !sane {
            return Err(format!("line {number} is no key=value"));
        }
        put(name, &Value::from(value), &mut found)
            .map_err(|why| format!("line {number}: {why}"))?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn holds(text: &str) {
        let settings = parse(text).unwrap();
        let expected = BTreeMap::from([
            ("NumaNodesPerSocket".to_owned(), json!("NPS4")),
            ("SmtControl".to_owned(), json!("Enabled")),
        ]);
        assert_eq!(settings, expected);
    }

    #[test]
    fn every_format_gives_the_same_settings() {
        let both = json!({"NumaNodesPerSocket": "NPS4", "SmtControl": " Enabled "});
        holds(&json!({"@odata.id": "/redfish/v1/Systems/1/Bios", "Attributes": both}).to_string());
        holds(&json!([{"Bios": {"Id": "Bios", "Attributes": both}}]).to_string());
        holds(&both.to_string());
        let list = json!([
            {"Name": "NumaNodesPerSocket", "Value": "NPS4"}, {"Name": "SmtControl", "Value": "Enabled"}
        ]);
        let nic = json!([{"Name": "SmtControl", "Value": "of a network card"}]);
        holds(
            &json!({"SystemConfiguration": {"Components": [
                {"FQDD": "NIC.Slot.1", "Attributes": nic}, {"FQDD": "BIOS.Setup.1-1", "Attributes": list}
            ]}})
            .to_string(),
        );
        holds(
            "\u{feff}# exported today\n[Bios]\nNumaNodesPerSocket=NPS4\r\n\nSmtControl = \"Enabled\"\n",
        );
    }

    #[test]
    fn what_is_private_is_left_out() {
        let text =
            "AdminPassword=x\nSerialNumber=1\nServerAssetTag=2\nMac Address=3\nBootMode=Uefi\n";
        assert_eq!(parse(text).unwrap().into_keys().collect::<Vec<_>>(), ["BootMode"]);
    }

    #[test]
    fn what_is_no_export_says_why() {
        for (text, why) in [
            ("", "no settings"),
            ("{\"Attributes\": {", "not whole JSON"),
            ("{\"a\": {\"b\": 1}}", "without an object or a list called Attributes"),
            ("{\"Attributes\": [1]}", "without Name and Value"),
            ("<SystemConfiguration>\n", "line 1 is no key=value"),
            ("<Attribute Name=\"x\">1</Attribute>", "line 1 is no key=value"),
            ("a=1\nNUMA nodes", "line 2 is no key=value"),
            ("Setup Question=NPS\nSetup Question=SMT", "line 2: Setup Question is both"),
            ("AdminPassword=x", "no settings"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bios");
        assert!(read(&path).unwrap_err().to_string().contains("can't read"));
        std::fs::write(&path, [0xff, 0xfe, 0, 1]).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("it is no text") && message.contains("ilorest"), "{message}");
        std::fs::write(&path, "BootMode=Uefi").unwrap();
        let fields = read(&path).unwrap();
        assert_eq!(fields[0].0, "bios.import.BootMode");
        assert_eq!(
            (fields[0].1.class, fields[0].1.source.as_str()),
            (Class::Bios, "bios (HOSTDYNO_BIOS)")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            _ = parse(&text);
        }
    }
}
