//! Loading a model: the metrics `storage/load/...` and `storage/read/...`.
//!
//! One iteration of a load opens every shard of the set, parses its header and brings every byte into memory that is there
//! already; the page cache is emptied before, outside the timed part, and the device's own count tells afterwards
//! whether the bytes came from it. Memory is allocated, touched and registered once, as a serving process would, and
//! what that costs is kept as a figure of its own.

mod calibrate;
mod check;
mod facts;
mod history;
mod method;
mod observe;
mod options;
mod pattern;
mod pipelined;
mod place;
mod prepared;
pub mod projection;
mod raw;
#[cfg(test)]
mod tests;
mod whole;

use std::cell::RefCell;
use std::rc::Rc;

pub use method::Method;
pub use options::{MODEL_VARIABLE, Options, POLLING_VARIABLE, default_cache};
use pattern::{Pattern, PatternReads};
use pipelined::Pipelined;
use prepared::Prepared;
use raw::{Figure, RawReads};
use whole::Load;

use crate::Result;
use crate::host::Destination;
use crate::measure::{Plan, Profile, Subject};
use crate::record::{MetricId, Part, Unit};

/// Makes a destination of so many bytes.
pub type MakeDestination = Rc<dyn Fn(usize) -> Result<Box<dyn Destination>>>;

/// Adds the load metrics to `plan`; a set is found or made when the first metric about it is prepared. Models are also
/// moved to each of `destinations`, by name.
pub fn plan(plan: &mut Plan, options: &Options, destinations: &[(String, MakeDestination)]) {
    let ranks = if plan.profile() == Profile::Quick { &[][..] } else { &RANKS };
    for (index, layout) in options.sets().into_iter().enumerate() {
        let shared = Shared { options: layout.clone(), prepared: Rc::default() };
        // Sets beyond the first are there to be compared: by direct reads, and by the loader that everybody has.
        let name = (index > 0).then(|| layout.layouts[0].name());
        let id = |segments: &[&str]| {
            MetricId::new(["storage"].iter().chain(segments).copied().chain(name))
        };
        for method in Method::ALL {
            if index > 0 && method == Method::Buffered {
                continue;
            }
            let id = id(&["load", method.name()]);
            add(plan, &shared, id.clone(), Unit::GigaBytes, move |set| Load::new(id, method, set));
        }
        if index > 0 {
            continue;
        }
        let ram = id(&["load", "pipelined"]);
        add(plan, &shared, ram.clone(), Unit::GigaBytes, move |set| Pipelined::to_memory(ram, set));
        for (name, make) in destinations {
            let (id, make) = (id(&["load", "pipelined", name]), Rc::clone(make));
            add(plan, &shared, id.clone(), Unit::GigaBytes, move |set| {
                Pipelined::new(id, set, |bytes| make(bytes))
            });
        }
        for figure in Figure::ALL {
            if figure == Figure::Sustained && plan.profile() != Profile::Thorough {
                continue;
            }
            let id = id(&["read", figure.name()]);
            let unit = figure.unit();
            add(plan, &shared, id.clone(), unit, move |set| RawReads::new(id, figure, set));
        }
        let patterns = [Pattern::TensorByTensor, Pattern::SingleExperts, Pattern::LayerExperts];
        let patterns = patterns.into_iter().chain(ranks.iter().map(|&of| Pattern::Rank(of)));
        for pattern in patterns {
            let id = id(&["read", &pattern.name()]);
            add(plan, &shared, id.clone(), Unit::GigaBytes, move |set| {
                PatternReads::new(id, pattern, set)
            });
        }
    }
}

/// Ranks of the tensor-parallel groups whose first rank's part is read.
const RANKS: [u64; 1] = [8];

fn add<S: Subject + 'static>(
    plan: &mut Plan,
    shared: &Shared,
    id: MetricId,
    unit: Unit,
    make: impl FnOnce(Rc<Prepared>) -> Result<S> + 'static,
) {
    let shared = shared.clone();
    plan.add(id, Part::Storage, unit, move || make(shared.prepare()?));
}

/// The set that every metric about it uses.
#[derive(Clone)]
struct Shared {
    options: Options,
    prepared: Rc<RefCell<Option<Rc<Prepared>>>>,
}

impl Shared {
    /// The set, prepared by the first who asks.
    fn prepare(&self) -> Result<Rc<Prepared>> {
        let mut prepared = self.prepared.borrow_mut();
        let ready = match &*prepared {
            Some(ready) => Rc::clone(ready),
            None => Prepared::new(&self.options)?,
        };
        *prepared = Some(Rc::clone(&ready));
        Ok(ready)
    }
}
