//! Reads files into fields: the one place that decides between ok, absent, denied and garbled.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::root::{Reading, Root};
use super::{Class, Field, Status};

/// Text of a garbled file is kept up to this many characters.
const GARBLED_TEXT: usize = 120;

/// Fields in the making.
pub struct Collector<'a> {
    /// Where to read.
    pub root: &'a Root,
    fields: BTreeMap<String, Field>,
}

impl<'a> Collector<'a> {
    /// No fields yet.
    pub fn new(root: &'a Root) -> Self {
        Self { root, fields: BTreeMap::new() }
    }

    /// What was collected.
    pub fn finish(self) -> BTreeMap<String, Field> {
        self.fields
    }

    /// Stores a value that was read.
    pub fn put(&mut self, name: &str, value: impl Into<Value>, source: &str, class: Class) {
        self.store(name, value.into(), source, Status::Ok, class);
    }

    /// Says that there is no such thing.
    pub fn absent(&mut self, name: &str, source: &str, class: Class) {
        self.store(name, Value::Null, source, Status::Absent, class);
    }

    /// Says that the kernel does not tell.
    pub fn denied(&mut self, name: &str, source: &str, class: Class) {
        self.store(name, Value::Null, source, Status::Denied, class);
    }

    /// Stores a reading of `source`, understood by `parse`; what `parse` refuses is garbled.
    pub fn reading(
        &mut self,
        name: &str,
        source: &str,
        class: Class,
        reading: Reading,
        parse: impl FnOnce(&str) -> Option<Value>,
    ) {
        let (value, status) = match reading {
            Reading::Text(text) => match parse(&text) {
                Some(value) => (value, Status::Ok),
                None => {
                    (text.chars().take(GARBLED_TEXT).collect::<String>().into(), Status::Garbled)
                }
            },
            Reading::Absent => (Value::Null, Status::Absent),
            Reading::Denied(_) => (Value::Null, Status::Denied),
            Reading::Garbled(why) => (why.into(), Status::Garbled),
        };
        self.store(name, value, source, status, class);
    }

    /// Reads a file and has it understood by `parse`.
    pub fn parsed(
        &mut self,
        name: &str,
        path: &str,
        class: Class,
        parse: impl FnOnce(&str) -> Option<Value>,
    ) {
        let reading = self.root.read(path);
        self.reading(name, path, class, reading, parse);
    }

    /// Reads a line of text; an empty one is fine.
    pub fn text(&mut self, name: &str, path: &str, class: Class) {
        self.parsed(name, path, class, |text| Some(text.into()));
    }

    /// Reads an integer, decimal or `0x` hexadecimal.
    pub fn number(&mut self, name: &str, path: &str, class: Class) {
        self.parsed(name, path, class, integer);
    }

    /// Reads a switch: 0 or 1, N or Y, false or true.
    pub fn flag(&mut self, name: &str, path: &str, class: Class) {
        self.parsed(name, path, class, |text| match text {
            "0" | "N" | "n" | "false" => Some(false.into()),
            "1" | "Y" | "y" | "true" => Some(true.into()),
            _ => None,
        });
    }

    /// Reads a list of CPUs or nodes, and keeps it as the kernel writes it.
    pub fn list(&mut self, name: &str, path: &str, class: Class) {
        self.parsed(name, path, class, |text| super::super::list::parse(text).map(|_| text.into()));
    }

    /// Reads a choice like `always [madvise] never`: the bracketed one, or the whole text of a file that shows only
    /// what is chosen.
    pub fn choice(&mut self, name: &str, path: &str, class: Class) {
        self.parsed(name, path, class, |text| {
            let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            chosen
                .map(|(chosen, _)| chosen)
                .or((!text.contains(['[', ']'])).then_some(text))
                .map(Value::from)
        });
    }

    /// Reads the same file of many siblings: one value where all agree, else the list of the different ones.
    pub fn uniform(&mut self, name: &str, paths: &[String], pattern: &str, class: Class) {
        let readings: Vec<Reading> = paths.iter().map(|path| self.root.read(path)).collect();
        let texts: BTreeSet<&str> = readings
            .iter()
            .filter_map(|reading| match reading {
                Reading::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let value = match texts.len() {
            0 => {
                let worst = readings.into_iter().find(|r| *r != Reading::Absent);
                self.reading(name, pattern, class, worst.unwrap_or(Reading::Absent), |_| None);
                return;
            }
            1 => texts.into_iter().next().and_then(integer_or_text).unwrap_or_default(),
            _ => texts.into_iter().filter_map(integer_or_text).collect(),
        };
        self.put(name, value, pattern, class);
    }

    fn store(&mut self, name: &str, value: Value, source: &str, status: Status, class: Class) {
        let field = Field { value, source: source.into(), status, class };
        self.fields.insert(name.into(), field);
    }
}

/// An integer, decimal or `0x` hexadecimal; hexadecimal stays text, as people know it.
pub fn integer(text: &str) -> Option<Value> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok().map(|_| text.into()),
        None => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<u64>().map(Value::from))
            .ok(),
    }
}

/// An integer where it is one, else the text.
pub fn integer_or_text(text: &str) -> Option<Value> {
    integer(text).or_else(|| Some(text.into()))
}
