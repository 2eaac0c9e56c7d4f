//! Hosts that this one is not, as directories: complete, empty, denied, garbled.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;

/// A host's files under a temporary directory.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new(files: &[(&str, &str)]) -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            fake.write(path, text.as_bytes());
        }
        fake
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let at = self.path().join(path);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, bytes).unwrap();
    }

    fn collect(&self) -> Environment {
        Environment::collect(&Root::at(self.path()))
    }
}

const EPYC: &[(&str, &str)] = &[
    ("sys/class/dmi/id/bios_version", "1.7.2\n"),
    ("sys/class/dmi/id/product_serial", "SECRET-SERIAL\n"),
    ("sys/class/dmi/id/product_uuid", "SECRET-UUID\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"),
    (
        "proc/cpuinfo",
        "processor : 0\nvendor_id : AuthenticAMD\ncpu family : 25\nmodel name : AMD EPYC 9654\nmicrocode : \
         0xa101144\nflags : fpu avx512f\n\nprocessor : 1\nmicrocode : 0xa101148\n",
    ),
    ("proc/cmdline", "ro iommu=pt hugepagesz=1G hugepages=8 hugepagesz=2M root=UUID=SECRET-ROOT\n"),
    ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("sys/devices/system/cpu/online", "0-1\n"),
    ("sys/devices/system/cpu/smt/active", "0\n"),
    ("sys/devices/system/cpu/isolated", "(null)\n"),
    ("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "performance\n"),
    ("sys/devices/system/cpu/cpufreq/policy1/scaling_governor", "powersave\n"),
    ("sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "3700000\n"),
    ("sys/devices/system/cpu/cpufreq/policy1/scaling_max_freq", "3700000\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "POLL\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/name", "C1\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "1\n"),
    ("sys/devices/system/cpu/cpu0/cpuidle/state1/disable", "1\n"),
    ("sys/devices/system/node/has_memory", "0,2\n"),
    ("sys/devices/system/node/node2/distance", "12 10\n"),
    ("sys/devices/system/node/node2/meminfo", "Node 2 MemTotal:  98304 kB\n"),
    ("proc/sys/kernel/numa_balancing", "1\n"),
    ("proc/self/cgroup", "0::/pod/job\n"),
    ("sys/fs/cgroup/pod/cpu.max", "400000 100000\n"),
    ("sys/fs/cgroup/pod/job/cpu.max", "max 100000\n"),
    (
        "proc/self/limits",
        "Max locked memory         8388608              8388608              bytes\n",
    ),
    ("proc/loadavg", "0.50 0.40 0.30 1/200 999\n"),
    ("proc/pressure/cpu", "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\n"),
    (
        "run/udev/data/+dmi:id",
        "E:MEMORY_DEVICE_0_SIZE=68719476736\nE:MEMORY_DEVICE_0_LOCATOR=CPU0_DIMM_A1\n\
         E:MEMORY_DEVICE_0_CONFIGURED_SPEED_MTS=4800\nE:MEMORY_DEVICE_0_SERIAL_NUMBER=SECRET-DIMM\n\
         E:MEMORY_DEVICE_1_PRESENT=0\nE:MEMORY_DEVICE_1_LOCATOR=CPU0_DIMM_A2\n\
         E:MEMORY_DEVICE_2_SIZE=68719476736\nE:MEMORY_DEVICE_2_LOCATOR=CPU0_DIMM_B1\n\
         E:MEMORY_DEVICE_2_CONFIGURED_SPEED_MTS=4400\nE:MEMORY_DEVICE_2_SPEED_MTS=4800\n",
    ),
    (
        "proc/self/mountinfo",
        "1 0 8:1 / /data rw,noatime shared:1 - xfs /dev/nvme0n1 rw\n2 0 0:3 / /proc rw - proc p rw\n",
    ),
];

#[test]
fn a_complete_host_is_understood() {
    let env = Fake::new(EPYC).collect();
    let value = |name: &str| env.get(name).unwrap_or_else(|| panic!("no {name}")).value.clone();
    assert_eq!(env.text("dmi.bios_version"), Some("1.7.2"));
    assert_eq!(env.get("dmi.bios_version").unwrap().class, Class::Bios);
    assert_eq!(env.get("dmi.board_name").unwrap().status, Status::Absent);
    assert_eq!(env.text("cpu.model_name"), Some("AMD EPYC 9654"));
    assert_eq!(value("cpu.microcode"), serde_json::json!(["0xa101144", "0xa101148"]));
    assert_eq!(env.flag("vm.cpu_flag"), Some(false));
    assert_eq!(env.flag("cpu.smt.active"), Some(false));
    assert_eq!(env.text("cpu.isolated"), Some(""));
    assert_eq!(value("cpu.freq.scaling_governor"), serde_json::json!(["performance", "powersave"]));
    assert_eq!(env.number("cpu.freq.scaling_max_freq"), Some(3.7e6));
    assert_eq!(value("cpu.idle.states"), serde_json::json!(["POLL", "C1"]));
    assert_eq!(value("cpu.idle.disabled"), serde_json::json!(["C1"]));
    assert_eq!(env.text("kernel.thp.enabled"), Some("madvise"));
    assert_eq!(env.text("kernel.cmdline.iommu"), Some("pt"));
    assert_eq!(env.text("kernel.cmdline.hugepagesz"), Some("1G 2M"));
    assert_eq!(env.get("kernel.cmdline.mitigations").unwrap().status, Status::Absent);
    assert_eq!(value("numa.node2.distance"), serde_json::json!([12, 10]));
    assert_eq!(env.number("numa.node2.total_kib"), Some(98304.0));
    assert_eq!(env.number("numa.balancing"), Some(1.0));
    assert_eq!(env.text("cgroup.cpu_max"), Some("400000 100000"));
    assert_eq!(env.number("limits.memlock_bytes"), Some(8388608.0));
    assert_eq!(value("load.average"), serde_json::json!([0.5, 0.4, 0.3]));
    assert_eq!(env.number("memory.dimms"), Some(2.0));
    assert_eq!(env.text("os.name"), Some("Debian GNU/Linux 12"));
    assert_eq!(env.text("mount./data"), Some("xfs rw,noatime /dev/nvme0n1"));
    assert!(env.get("mount./proc").is_none());
}

#[test]
fn nothing_private_is_kept() {
    let text = serde_json::to_string(&Fake::new(EPYC).collect()).unwrap();
    assert!(!text.contains("SECRET"), "{text}");
    assert!(!text.contains("0123456789abcdef0123456789abcdef"));
    assert!(text.contains("machine.id_hash"));
}

#[test]
fn the_ceiling_of_memory_is_channels_times_the_slowest_speed() {
    let channels = dram_channels(&Fake::new(EPYC).collect()).unwrap();
    assert_eq!((channels.channels, channels.mts), (2, 4400));
    assert!((channels.gb_per_second() - 70.4).abs() < 1e-9);
    // EDAC knows the channels better than the locators' names do.
    let fake = Fake::new(EPYC);
    for (dimm, location, size) in [
        ("dimm0", "csrow 0 channel 0", "1"),
        ("dimm1", "csrow 2 channel 0", "1"),
        ("dimm2", "csrow 0 channel 7", "0"),
    ] {
        fake.write(
            &format!("sys/devices/system/edac/mc/mc0/{dimm}/dimm_location"),
            location.as_bytes(),
        );
        fake.write(&format!("sys/devices/system/edac/mc/mc0/{dimm}/size"), size.as_bytes());
    }
    assert_eq!(dram_channels(&fake.collect()).unwrap().channels, 1);
    // Without speeds, or with slots that are only numbered, nothing is invented.
    assert!(dram_channels(&Fake::new(&[]).collect()).is_err());
    let numbered = "E:MEMORY_DEVICE_0_SIZE=1\nE:MEMORY_DEVICE_0_LOCATOR=DIMM 0\n\
                    E:MEMORY_DEVICE_0_CONFIGURED_SPEED_MTS=4800\n";
    let why =
        dram_channels(&Fake::new(&[("run/udev/data/+dmi:id", numbered)]).collect()).unwrap_err();
    assert!(why.contains("locators"), "{why}");
}

#[test]
fn an_empty_host_says_absent_everywhere() {
    let env = Fake::new(&[]).collect();
    for (name, field) in &env.0 {
        let facts = ["firmware.uefi", "iommu.units"];
        if facts.contains(&name.as_str()) {
            continue;
        }
        assert_eq!((field.status, &field.value), (Status::Absent, &Value::Null), "{name}");
    }
    assert!(env.0.len() > 80, "{}", env.0.len());
}

#[test]
fn garbage_is_garbled_not_ok() {
    let fake = Fake::new(EPYC);
    let names: Vec<String> = EPYC.iter().map(|(path, _)| (*path).to_owned()).collect();
    for path in &names {
        fake.write(path, &[0xff, 0x00, 0xfe]);
    }
    let env = fake.collect();
    for name in [
        "dmi.bios_version",
        "machine.id_hash",
        "cpu.model_name",
        "cpu.microcode",
        "kernel.cmdline",
        "kernel.cmdline.iommu",
        "kernel.thp.enabled",
        "cpu.smt.active",
        "cpu.freq.scaling_governor",
        "numa.has_memory",
        "numa.node2.distance",
        "memory.dimms",
        "limits.memlock_bytes",
        "load.average",
    ] {
        assert_eq!(env.get(name).map(|field| field.status), Some(Status::Garbled), "{name}");
    }
}

#[test]
fn text_that_is_not_what_it_should_be_is_kept_and_marked() {
    let env = Fake::new(&[
        ("etc/machine-id", "uninitialized"),
        ("proc/sys/kernel/numa_balancing", "lots"),
        ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise never"),
        ("sys/devices/system/node/has_memory", "all"),
        ("sys/devices/system/cpu/smt/active", "2"),
        ("proc/loadavg", "0.1 x"),
    ])
    .collect();
    for (name, text) in [
        ("machine.id_hash", "uninitialized"),
        ("numa.balancing", "lots"),
        ("kernel.thp.enabled", "always [madvise never"),
        ("numa.has_memory", "all"),
        ("cpu.smt.active", "2"),
        ("load.average", "0.1 x"),
    ] {
        let field = env.get(name).unwrap();
        assert_eq!((field.status, field.value.as_str()), (Status::Garbled, Some(text)), "{name}");
        assert_eq!((env.text(name), env.number(name)), (None, None));
    }
}

#[test]
fn what_is_denied_is_said_to_be() {
    let fake = Fake::new(EPYC);
    std::fs::set_permissions(fake.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for path in ["sys/class/dmi/id/bios_version", "proc/cmdline"] {
        std::fs::set_permissions(fake.path().join(path), PermissionsExt::from_mode(0o000)).unwrap();
    }
    let root = Root::at(fake.path());
    // Root reads everything: become nobody, in this thread and for files only.
    let env = std::thread::spawn(move || {
        // SAFETY: no preconditions; it changes the calling thread only.
        unsafe { libc::setfsuid(65534) };
        Environment::collect(&root)
    })
    .join()
    .unwrap();
    for name in ["dmi.bios_version", "kernel.cmdline", "kernel.cmdline.iommu"] {
        assert_eq!(env.get(name).map(|field| field.status), Some(Status::Denied), "{name}");
    }
    assert_eq!(env.text("cpu.model_name"), Some("AMD EPYC 9654"));
}

#[test]
fn links_are_followed_to_the_root_port() {
    let fake = Fake::new(&[]);
    let port = "sys/devices/pci0000:40/0000:40:01.1";
    let gpu = format!("{port}/0000:41:00.0");
    for (at, speed, width) in [(port, "16.0 GT/s PCIe", "8"), (&gpu, "32.0 GT/s PCIe", "16")] {
        for kind in ["current", "max"] {
            fake.write(&format!("{at}/{kind}_link_speed"), speed.as_bytes());
            fake.write(&format!("{at}/{kind}_link_width"), width.as_bytes());
        }
        fake.write(&format!("{at}/class"), if at == port { b"0x060400" } else { b"0x030200" });
    }
    fake.write(&format!("{gpu}/config"), &[0u8; 64]);
    fake.write(
        &format!("{gpu}/resource"),
        b"0x0 0xffffff 0x0\n0x1000000000 0x2fffffffff 0x14220c\n",
    );
    fake.write(&format!("{gpu}/resource1_resize"), b"00000000000fffc0\n");
    fake.write(&format!("{gpu}/aer_dev_correctable"), b"RxErr 1\nTOTAL_ERR_COR 3\n");
    let devices = fake.path().join("sys/bus/pci/devices");
    std::fs::create_dir_all(&devices).unwrap();
    symlink("../../../devices/pci0000:40/0000:40:01.1", devices.join("0000:40:01.1")).unwrap();
    symlink("../../../devices/pci0000:40/0000:40:01.1/0000:41:00.0", devices.join("0000:41:00.0"))
        .unwrap();
    let env = fake.collect();
    let at = |field: &str| &env.get(&format!("pci.0000:41:00.0.{field}")).unwrap().value;
    assert_eq!(at("upstream"), &serde_json::json!(["0000:40:01.1"]));
    assert_eq!(at("path_current")["bdf"], "0000:40:01.1");
    assert!((at("path_current")["gb_per_second"].as_f64().unwrap() - 15.754).abs() < 1e-3);
    assert_eq!(at("bar_bytes"), &serde_json::json!([1u64 << 24, 128u64 << 30]));
    assert_eq!(at("bar1_resizable_bitmap"), &serde_json::json!(0xfffc0));
    assert_eq!(at("correctable_errors"), &serde_json::json!(3));
    assert_eq!(env.get("pci.0000:41:00.0.relaxed_ordering").unwrap().status, Status::Denied);
    assert!(env.get("pci.0000:40:01.1.class").is_none(), "bridges are only followed");
}

#[test]
fn fingerprints_change_with_their_class_only() {
    let before = Fake::new(EPYC).collect();
    let fake = Fake::new(EPYC);
    fake.write("proc/loadavg", b"9.0 9.0 9.0 1/2 3");
    let loaded = fake.collect();
    fake.write("sys/class/dmi/id/bios_version", b"1.8.0");
    let updated = fake.collect();
    assert_eq!(before.fingerprint(Class::Bios), loaded.fingerprint(Class::Bios));
    assert_ne!(before.fingerprint(Class::Volatile), loaded.fingerprint(Class::Volatile));
    assert_ne!(loaded.fingerprint(Class::Bios), updated.fingerprint(Class::Bios));
    assert_eq!(before.fingerprint(Class::Identity), updated.fingerprint(Class::Identity));
}

#[test]
fn this_host_is_read_and_survives_json() {
    let env = Environment::collect(&Root::host());
    assert!(env.text("kernel.release").is_some());
    let text = serde_json::to_string(&env).unwrap();
    assert_eq!(serde_json::from_str::<Environment>(&text).unwrap(), env);
}
