//! What the records of a set have in common: what was loaded, from which device, into which memory, by which reads.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::prepared::Prepared;
use crate::record::{Ceiling, Origin, Placement};

impl Prepared {
    /// What every record about this set tells: the set, the device, the memory.
    pub fn facts(&self) -> BTreeMap<String, Value> {
        let memory = self.memory.borrow();
        BTreeMap::from([
            ("model".to_owned(), json!(self.set.description)),
            ("bytes".to_owned(), json!(self.set.bytes())),
            ("shards".to_owned(), json!(self.set.shards.len())),
            ("shards_left_out".to_owned(), json!(self.set.left_out)),
            ("tensors".to_owned(), json!(self.set.tensors())),
            ("device".to_owned(), json!(self.device.describe())),
            ("celsius".to_owned(), json!(self.device.celsius())),
            ("memory_pages".to_owned(), json!(memory.pages().name())),
            ("memory_node".to_owned(), json!(self.memory_node)),
            ("memory_huge_bytes".to_owned(), json!(memory.huge_bytes())),
            ("memory_refused".to_owned(), json!(self.memory_refused)),
        ])
    }

    /// What every record of direct reads tells besides: what is in flight, what the host gave and refused.
    pub fn reader_facts(&self) -> BTreeMap<String, Value> {
        let reader = self.reader.borrow();
        let ladder: Vec<String> = self.ladder.iter().map(ToString::to_string).collect();
        BTreeMap::from([
            ("block_bytes".to_owned(), json!(self.in_flight.block_bytes)),
            ("queue_depth".to_owned(), json!(self.in_flight.depth)),
            ("threads".to_owned(), json!(self.in_flight.threads)),
            ("alignment".to_owned(), json!(self.cut.align)),
            ("stage_register_s".to_owned(), json!(self.register_s)),
            ("ring_flags".to_owned(), json!(reader.flags())),
            ("refused".to_owned(), json!(reader.refusals())),
            ("ladder".to_owned(), json!(ladder)),
        ])
    }

    /// Where direct reads ran and put what they read.
    pub fn placement(&self) -> Placement {
        Placement::new(self.reader.borrow().cpus_seen(), &self.memory.borrow().census())
    }

    /// The device's best raw read.
    pub fn ceiling(&self) -> Option<Ceiling> {
        self.trials.first().map(|best| Ceiling {
            value: best.gb_per_s,
            origin: Origin::Measured,
            source: format!(
                "best raw sequential direct read of the same files: {}, blocks of {} KiB, {} in flight on each of {} \
                 threads",
                self.reader.borrow().path(),
                best.in_flight.block_bytes >> 10,
                best.in_flight.depth,
                best.in_flight.threads
            ),
        })
    }
}
