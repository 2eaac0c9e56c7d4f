//! The classes of an environment's fields, in the order in which they are read.

use crate::host::environment::Class;

/// Every class with what it is about.
pub const CLASSES: [(Class, &str); 5] = [
    (Class::Identity, "identity: which machine"),
    (Class::Bios, "bios: firmware, and what its settings decide"),
    (Class::Kernel, "kernel: version, command line, settings"),
    (Class::Runtime, "runtime: container, limits, drivers, mounts"),
    (Class::Volatile, "volatile: changes by itself"),
];
