//! Settings that move an inference host's numbers: which recorded fields show them, under which names a firmware
//! export lists them, and what they should do to which metrics.
//!
//! The expectations are public experience, not proof: they are held against the data and reported as met or not. SMT
//! and NPS have no better and worse side; nothing here judges a setting.

use crate::host::bios;
use crate::record::pattern::matches;

/// What a rise of a knob should do to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The metric improves.
    Better,
    /// The metric gets worse.
    Worse,
    /// It may go either way.
    Either,
}

/// One setting.
#[derive(Debug)]
pub struct Knob {
    /// Stable name, for scripts.
    pub id: &'static str,
    /// Fields that are the setting or show it; `*` stands for anything.
    pub fields: &'static [&'static str],
    /// Names in firmware exports, in lower case, letters and digits only; a part of the name is enough.
    pub bios: &'static [&'static str],
    /// What more of it does, by the beginning of the metric's name.
    pub signature: &'static [(&'static str, Expected)],
    /// The signature in words.
    pub expect: &'static str,
}

use Expected::{Better, Either, Worse};

/// Every knob known here. Sources of the signatures: AMD's and NVIDIA's tuning guides and users' reports, collected
/// with threads in the project's notes on NUMA and BIOS settings, section 7.
pub const KNOBS: &[Knob] = &[
    Knob {
        id: "nodes-per-socket",
        fields: &["numa.mode", "numa.nodes"],
        bios: &["numanodespersocket", "nodespersocket", "snc", "subnumacluster", "dramscrubnps"],
        signature: &[
            ("dram/latency/", Better),
            ("dram/read/node-local", Worse),
            ("dram/", Either),
            ("pcie/", Either),
            ("gemm/cpu", Either),
            ("attention/cpu", Either),
            ("storage/", Either),
        ],
        expect: "local latency 5 to 10 % lower, bandwidth of one node divided by the nodes of a socket, bandwidth of \
                 all cores the same, transfers from a far node slower under load",
    },
    Knob {
        id: "l3-as-numa",
        fields: &[],
        bios: &["ccxasnuma", "l3cacheasnuma", "llcasnuma", "acpisratl3"],
        signature: &[("dram/", Either), ("gemm/cpu", Either)],
        expect: "more nodes, scheduling that follows them, the same bandwidth of a socket",
    },
    Knob {
        id: "smt",
        fields: &["cpu.smt.active", "cpu.smt.control", "kernel.cmdline.nosmt"],
        bios: &["smtmode", "smtcontrol", "logicalproc", "hyperthread", "prochyperthreading"],
        signature: &[
            ("compute/", Either),
            ("gemm/cpu", Either),
            ("attention/cpu", Either),
            ("dram/", Either),
        ],
        expect: "bandwidth within 2 %, latency the same, compute either way",
    },
    Knob {
        id: "memory-speed",
        fields: &["memory.dimm.*.configured_speed_mts"],
        bios: &["memfrequency", "memoryfrequency", "memclk", "memoryspeed", "memtargetspeed"],
        signature: &[("dram/", Better), ("gemm/cpu", Better), ("attention/cpu", Better)],
        expect: "bandwidth in proportion to MT/s, latency lower",
    },
    Knob {
        id: "memory-population",
        fields: &[
            "memory.dimms",
            "memory.edac.channels",
            "memory.total_kib",
            "memory.dimm.*",
            "memory.edac.*",
        ],
        bios: &[],
        signature: &[("dram/", Better), ("gemm/cpu", Better), ("attention/cpu", Better)],
        expect: "bandwidth in proportion to the populated channels",
    },
    Knob {
        id: "fabric-power",
        fields: &[],
        bios: &["apbdis", "dfcstate", "dfpstate", "fabric", "uncore", "xgmi", "dlwm"],
        signature: &[("pcie/", Either), ("dram/latency", Either), ("dram/", Either)],
        expect: "first transfer after idle and tails; steady bandwidth the same",
    },
    Knob {
        id: "idle-states",
        fields: &[
            "cpu.idle.*",
            "kernel.cmdline.idle",
            "kernel.cmdline.*max_cstate",
            "kernel.cmdline.cpuidle.off",
        ],
        bios: &["cstate", "c1e", "c6"],
        signature: &[("pcie/", Either), ("dram/latency", Either), ("compute/", Either)],
        expect: "latency after sleep; all-core clocks where idle cores fund busy ones",
    },
    Knob {
        id: "cpu-clocks",
        fields: &[
            "cpu.freq.*",
            "cpu.intel_pstate.*",
            "cpu.amd_pstate.*",
            "kernel.cmdline.*_pstate",
        ],
        bios: &[
            "determinism",
            "turbo",
            "boost",
            "cppc",
            "governor",
            "powerprofile",
            "sysprofile",
            "tdp",
            "ppt",
        ],
        signature: &[
            ("compute/", Either),
            ("gemm/cpu", Either),
            ("attention/cpu", Either),
            ("dram/latency", Either),
            ("storage/", Either),
        ],
        expect: "compute in proportion to the clock, bandwidth nearly the same",
    },
    Knob {
        id: "prefetchers",
        fields: &[],
        bios: &["prefetch"],
        signature: &[("dram/", Either), ("gemm/cpu", Either), ("attention/cpu", Either)],
        expect: "streaming bandwidth of few cores; random latency the same",
    },
    Knob {
        id: "iommu",
        fields: &[
            "iommu.*",
            "pci.*.iommu_group_type",
            "kernel.cmdline.iommu*",
            "kernel.cmdline.amd_iommu",
            "kernel.cmdline.intel_iommu",
        ],
        bios: &["iommu", "vtd", "virtualizationfordirected", "acs"],
        signature: &[("pcie/", Either), ("storage/", Either)],
        expect: "transfers over large footprints, peer to peer; not copies of 256 MiB repeated",
    },
    Knob {
        id: "resizable-bar",
        fields: &["pci.*.bar_bytes", "nvidia.EnableResizableBar"],
        bios: &["resizablebar", "rebar", "above4g", "mmioabove4"],
        signature: &[("pcie/", Either)],
        expect: "peer to peer and mapped writes; copy-engine transfers the same",
    },
    Knob {
        id: "relaxed-ordering",
        fields: &["pci.*.relaxed_ordering", "nvidia.EnablePCIERelaxedOrderingMode"],
        bios: &["relaxedordering"],
        signature: &[("pcie/d2h", Better), ("pcie/", Either)],
        expect: "device to host (posted writes), most with several GPUs",
    },
    Knob {
        id: "pcie-link",
        fields: &[
            "pci.*.path_capability",
            "pci.*.max_link_*",
            "pci.*.max_payload_bytes",
            "pci.*.max_read_request_bytes",
            "pci.*.extended_tags",
            "kernel.cmdline.pci",
        ],
        bios: &["pciespeed", "linkspeed", "pcietarget", "bifurcation", "maxpayload", "tenbittag"],
        signature: &[("pcie/", Better), ("storage/", Better)],
        expect: "transfers in proportion to the link",
    },
    Knob {
        id: "aspm",
        fields: &["pci.aspm_policy", "pci.*.link.*", "kernel.cmdline.pcie_aspm"],
        bios: &["aspm"],
        signature: &[("pcie/", Either), ("storage/", Either)],
        expect: "first transfer after idle",
    },
    Knob {
        id: "huge-pages",
        fields: &[
            "kernel.thp.*",
            "vm.nr_hugepages",
            "vm.nr_overcommit_hugepages",
            "memory.hugepages-*",
            "kernel.cmdline.*hugepage*",
        ],
        bios: &[],
        signature: &[
            ("dram/", Either),
            ("gemm/cpu", Either),
            ("attention/cpu", Either),
            ("pcie/", Either),
            ("storage/", Either),
        ],
        expect: "the gap between 4 KiB and 2 MiB latency, TLB misses of large footprints",
    },
    Knob {
        id: "numa-balancing",
        fields: &["numa.balancing", "kernel.cmdline.numa_balancing"],
        bios: &[],
        signature: &[("dram/", Either), ("gemm/cpu", Either), ("attention/cpu", Either)],
        expect: "jitter where memory is not bound",
    },
    Knob {
        id: "mitigations",
        fields: &["cpu.vulnerability.*", "kernel.cmdline.mitigations", "cpu.bugs"],
        bios: &["mitigation", "speculat"],
        signature: &[("storage/", Either), ("pcie/", Either), ("dram/latency", Either)],
        expect: "system calls, so small reads and launches; arithmetic the same",
    },
    Knob {
        id: "microcode",
        fields: &["cpu.microcode"],
        bios: &["microcode"],
        signature: &[("", Either)],
        expect: "anything",
    },
    Knob {
        id: "bios-version",
        fields: &["dmi.bios_*", "dmi.ec_firmware_release"],
        bios: &["biosversion", "systembiosversion", "agesa"],
        signature: &[("", Either)],
        expect: "anything: an update brings microcode, memory training and other defaults",
    },
    Knob {
        id: "kernel",
        fields: &["kernel.release", "kernel.version", "os.*"],
        bios: &[],
        signature: &[("", Either)],
        expect: "anything that enters the kernel",
    },
    Knob {
        id: "gpu-driver",
        fields: &["nvidia.driver", "nvidia.*.firmware", "nvidia.*.video_bios"],
        bios: &[],
        signature: &[
            ("vram/", Either),
            ("pcie/", Either),
            ("gemm/gpu", Either),
            ("gemm/cuda", Either),
            ("attention/gpu", Either),
            ("attention/cuda", Either),
        ],
        expect: "what runs on the GPU",
    },
    Knob {
        id: "cpus-in-use",
        fields: &[
            "process.cpus_allowed",
            "cgroup.cpu_max",
            "cgroup.cpuset_cpus",
            "hostdyno.threads",
            "cpu.online",
            "cpu.cores",
            "cpu.isolated",
            "kernel.cmdline.isolcpus",
            "kernel.cmdline.maxcpus",
        ],
        bios: &["corecount", "ccdcontrol", "corecontrol", "activecores"],
        signature: &[
            ("compute/", Better),
            ("gemm/cpu", Better),
            ("attention/cpu", Better),
            ("dram/", Better),
            ("storage/", Either),
        ],
        expect: "all-core figures in proportion to the cores, until memory bounds them",
    },
    Knob {
        id: "io-queue",
        fields: &[
            "block.*.scheduler",
            "block.*.nr_requests",
            "block.*.read_ahead_kb",
            "block.*.max_sectors_kb",
            "block.*.io_poll",
            "block.*.wbt_lat_usec",
            "block.*.nomerges",
            "block.*.rq_affinity",
            "kernel.io_uring_disabled",
        ],
        bios: &[],
        signature: &[("storage/", Either)],
        expect: "loads",
    },
    Knob {
        id: "hostdyno",
        fields: &["hostdyno.version"],
        bios: &[],
        signature: &[("", Either)],
        expect: "anything: other kernels may have run",
    },
    Knob {
        id: "profile",
        fields: &["hostdyno.profile"],
        bios: &[],
        signature: &[("", Either)],
        expect: "precision, and where working sets differ by profile, the figures",
    },
];

/// Fields that follow from a setting, most from nodes per socket, cores in use, or the command line.
const CONSEQUENCES: &[&str] = &[
    "numa.node*",
    "numa.has_*",
    "numa.online",
    "numa.possible",
    "pci.*.numa_node",
    "pci.*.local_cpulist",
    "nvme.*.numa_node",
    "nvme.*.queue_count",
    "process.nodes_allowed",
    "cgroup.cpuset_mems",
    "kernel.cmdline",
    "cpu.flags",
    "cpu.offline",
    "cpu.present",
    "cpu.last_level_caches",
];

/// Fields not known to move any metric.
const INCIDENTAL: &[&str] = &[
    "block.*.sectors",
    "block.loop*",
    "limits.*",
    "mount.*",
    "cgroup.memory_*",
    "cgroup.cpu_weight",
    "pci.*.d3cold_allowed",
    "cpu.possible",
    "kernel.perf_event_paranoid",
    "kernel.tuned_profile.source",
];

/// The knob that a field is, or shows.
pub fn of(field: &str) -> Option<&'static Knob> {
    if let Some(name) = field.strip_prefix(bios::PREFIX).or(field.strip_prefix("bios.attribute.")) {
        let plain: String = name
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        return KNOBS.iter().find(|knob| knob.bios.iter().any(|part| plain.contains(part)));
    }
    if field != "numa.nodes" && consequence(field) {
        return None;
    }
    KNOBS.iter().find(|knob| knob.fields.iter().any(|pattern| matches(pattern, field)))
}

/// The knob called `id`.
pub fn by_id(id: &str) -> Option<&'static Knob> {
    KNOBS.iter().find(|knob| knob.id == id)
}

/// Whether a field only follows from a setting.
pub fn consequence(field: &str) -> bool {
    field != "numa.nodes" && CONSEQUENCES.iter().any(|pattern| matches(pattern, field))
}

/// Whether a field is not known to move any metric.
pub fn incidental(field: &str) -> bool {
    INCIDENTAL.iter().any(|pattern| matches(pattern, field))
}

impl Knob {
    /// What a rise of it should do to `metric`; `None` where it should do nothing.
    pub fn expects(&self, metric: &str) -> Option<Expected> {
        self.signature.iter().find(|(start, _)| metric.starts_with(start)).map(|(_, what)| *what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendors_names_lead_to_the_knob() {
        for (field, knob) in [
            ("bios.import.NumaNodesPerSocket", Some("nodes-per-socket")),
            ("bios.import.NUMA Nodes Per Socket", Some("nodes-per-socket")),
            ("bios.import.ACPI SRAT L3 Cache As NUMA Domain", Some("l3-as-numa")),
            ("bios.import.CcxAsNumaDomain", Some("l3-as-numa")),
            ("bios.import.ApbDis", Some("fabric-power")),
            ("bios.import.DF Cstates", Some("fabric-power")),
            ("bios.import.LogicalProc", Some("smt")),
            ("bios.import.PcieAspmL1", Some("aspm")),
            ("bios.import.BootOrder", None),
            ("pci.0000:c1:00.0.iommu_group_type", Some("iommu")),
            ("numa.node3.cpulist", None),
            ("memory.dimm.3.configured_speed_mts", Some("memory-speed")),
        ] {
            assert_eq!(of(field).map(|knob| knob.id), knob, "{field}");
        }
    }

    #[test]
    fn the_first_signature_that_fits_counts() {
        let nps = by_id("nodes-per-socket").unwrap();
        assert_eq!(nps.expects("dram/latency/random/4k"), Some(Expected::Better));
        assert_eq!(nps.expects("dram/read/node-local"), Some(Expected::Worse));
        assert_eq!(nps.expects("vram/read/gpu0"), None);
    }
}
