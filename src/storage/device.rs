//! Which block device holds a file, what it is, and how many bytes it has read: from sysfs and `mountinfo`.
//!
//! The device number of a file names a block device directly on most file systems. Some (btrfs, overlayfs, NFS, tmpfs)
//! have made-up numbers with major 0; then the mount's source may still name a device. Where nothing does, the device
//! is unknown and a cold cache can't be proved.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Bytes of a sector in the kernel's statistics, whatever the device's own.
const SECTOR_BYTES: u64 = 512;

/// A file's file system and the block device below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Type of the file system.
    pub file_system: String,
    /// `major:minor` of the block device or partition, or why there is none.
    pub number: Result<String, String>,
    /// Root of the tree that holds `sys` and `proc`: `/`, or a made-up one in tests.
    root: PathBuf,
}

impl Device {
    /// The device below `path`.
    pub fn of(path: &Path) -> Self {
        let number = path.metadata().map(|m| m.dev());
        Self::find(Path::new("/"), number.map_err(|e| e.to_string()), &|source| {
            source.metadata().ok().map(|m| m.rdev())
        })
    }

    /// [`Self::of`] with the file's device number, `root`'s `proc` and `sys`, and the number of a device node.
    fn find(root: &Path, device: Result<u64, String>, node: &dyn Fn(&Path) -> Option<u64>) -> Self {
        let unknown = |file_system: String, why: String| Self {
            file_system,
            number: Err(why),
            root: root.into(),
        };
        let device = match device {
            Ok(device) => number_of(device),
            Err(e) => return unknown("unknown".into(), format!("the file can't be examined: {e}")),
        };
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
        let Some((file_system, source)) = mount_of(&mounts, &device) else {
            return unknown("unknown".into(), format!("no mount has device {device}"));
        };
        let number = if !device.starts_with("0:") {
            Ok(device)
        } else if let Some(rdev) = node(Path::new(&source)).filter(|_| source.starts_with("/dev/"))
        {
            Ok(number_of(rdev))
        } else {
            Err(format!("{file_system} from {source:?} has no block device of its own"))
        };
        match number {
            Ok(number) if !root.join("sys/dev/block").join(&number).exists() => {
                unknown(file_system, format!("/sys/dev/block/{number} does not exist"))
            }
            number => Self { file_system, number, root: root.into() },
        }
    }

    fn directory(&self) -> Option<PathBuf> {
        self.number.as_ref().ok().map(|n| self.root.join("sys/dev/block").join(n))
    }

    /// Bytes that the device or partition has read since boot.
    pub fn bytes_read(&self) -> Option<u64> {
        let stat = fs::read_to_string(self.directory()?.join("stat")).ok()?;
        // reads completed, reads merged, sectors read, ... (Documentation/block/stat.rst)
        stat.split_whitespace().nth(2)?.parse::<u64>().ok().map(|sectors| sectors * SECTOR_BYTES)
    }

    /// The whole disk of a partition, the device itself otherwise.
    fn disk(&self) -> Option<PathBuf> {
        whole(&self.directory()?.canonicalize().ok()?)
    }

    /// Name of the whole disk, as in `/dev`.
    pub fn disk_name(&self) -> Option<String> {
        Some(self.disk()?.file_name()?.to_string_lossy().into_owned())
    }

    /// The disks that the device is built of, itself if it is one.
    fn members(&self) -> Vec<PathBuf> {
        fn down(disk: PathBuf, found: &mut Vec<PathBuf>) {
            let below = disk.join("slaves").read_dir().into_iter().flatten().flatten();
            let below: Vec<PathBuf> =
                below.filter_map(|entry| whole(&entry.path().canonicalize().ok()?)).collect();
            if below.is_empty() && !found.contains(&disk) {
                found.push(disk);
            } else {
                below.into_iter().for_each(|disk| down(disk, found));
            }
        }
        let mut found = Vec::new();
        if let Some(disk) = self.disk() {
            down(disk, &mut found);
        }
        found
    }

    /// The NUMA node that every disk of it is attached to; `None` where that is several, or not known.
    pub fn node(&self) -> Option<usize> {
        let node = |disk: PathBuf| {
            // The kernel says -1 where the firmware does not tell.
            let up = disk.ancestors().take_while(|path| path.starts_with(&self.root));
            let file = up.map(|path| path.join("numa_node")).find(|file| file.exists())?;
            trimmed(&file)?.parse().ok()
        };
        let nodes: Vec<Option<usize>> = self.members().into_iter().map(node).collect();
        let first = *nodes.first()?;
        first.filter(|_| nodes.iter().all(|node| *node == first))
    }

    /// Degrees Celsius of its warmest disk, where the driver tells (`hwmon`).
    pub fn celsius(&self) -> Option<f64> {
        let sensors = self.members().into_iter().flat_map(|disk| {
            let places =
                [disk.join("device"), disk.join("device/hwmon"), disk.join("device/device/hwmon")];
            places.into_iter().filter_map(|place| place.read_dir().ok()).flatten().flatten()
        });
        let milli = sensors
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("hwmon"))
            .filter_map(|entry| trimmed(&entry.path().join("temp1_input"))?.parse::<f64>().ok());
        milli.map(|milli| milli / 1000.0).max_by(f64::total_cmp)
    }

    /// What is known of the device, for the record: name, model, scheduler, link, the devices it is built from.
    pub fn describe(&self) -> BTreeMap<String, Value> {
        let mut facts = BTreeMap::from([("file_system".to_owned(), json!(self.file_system))]);
        match &self.number {
            Ok(number) => facts.insert("device_number".into(), json!(number)),
            Err(why) => facts.insert("device_unknown".into(), json!(why)),
        };
        let Some(disk) = self.disk() else { return facts };
        let members = self.members();
        let virtual_disk = members
            .iter()
            .filter_map(|disk| driver(disk))
            .any(|driver| driver.starts_with("virtio") || driver.starts_with("xen"));
        facts.extend(facts_of(&disk));
        if virtual_disk {
            let note = "a virtual disk: the machine below may cache what this kernel does not";
            facts.insert("note".into(), json!(note));
        }
        if members != [disk] {
            let members: Vec<_> = members.iter().map(|disk| facts_of(disk)).collect();
            facts.insert("built_from".into(), json!(members));
        }
        facts
    }
}

/// The whole disk of the partition `here`, itself otherwise.
fn whole(here: &Path) -> Option<PathBuf> {
    if here.join("partition").exists() {
        here.parent().map(Path::to_owned)
    } else {
        Some(here.to_owned())
    }
}

/// What the kernel tells of one disk, by the name it has in the record.
fn facts_of(disk: &Path) -> BTreeMap<String, Value> {
    let mut facts =
        BTreeMap::from([("device".into(), json!(disk.file_name().map(|n| n.to_string_lossy())))]);
    for (key, file) in [
        ("model", "device/model"),
        ("firmware", "device/firmware_rev"),
        ("numa_node", "device/device/numa_node"),
        ("link_speed", "device/device/current_link_speed"),
        ("link_width", "device/device/current_link_width"),
        ("link_speed_max", "device/device/max_link_speed"),
        ("link_width_max", "device/device/max_link_width"),
        ("rotational", "queue/rotational"),
        ("requests", "queue/nr_requests"),
        ("largest_request_kib", "queue/max_sectors_kb"),
        ("read_ahead_kib", "queue/read_ahead_kb"),
        ("raid_level", "md/level"),
        ("raid_chunk_bytes", "md/chunk_size"),
        ("dm_name", "dm/name"),
        ("dm_kind", "dm/uuid"),
    ] {
        if let Some(text) = trimmed(&disk.join(file)) {
            // The identifier begins with the layer that made it (LVM-..., CRYPT-...); the rest names this very one.
            let text =
                if key == "dm_kind" { text.split('-').next().map(Into::into) } else { Some(text) };
            facts.insert(key.into(), json!(text));
        }
    }
    if let Some(choice) = trimmed(&disk.join("queue/scheduler")) {
        facts.insert("scheduler".into(), json!(chosen(&choice)));
    }
    if let Some(driver) = driver(disk) {
        facts.insert("driver".into(), json!(driver));
    }
    facts
}

/// `major:minor` of a device number.
fn number_of(device: u64) -> String {
    format!("{}:{}", libc::major(device), libc::minor(device))
}

/// Type and source of the mount with device `number` (format: proc(5), `/proc/pid/mountinfo`).
fn mount_of(mounts: &str, number: &str) -> Option<(String, String)> {
    mounts.lines().find_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        (fields.split(' ').nth(2)? == number).then_some(())?;
        let mut rest = rest.split(' ');
        Some((rest.next()?.to_owned(), rest.next()?.to_owned()))
    })
}

/// The name in brackets of a list of choices such as `none [mq-deadline]`.
fn chosen(choices: &str) -> &str {
    choices.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or(choices, |(c, _)| c)
}

fn driver(disk: &Path) -> Option<String> {
    let link = fs::read_link(disk.join("device/driver"))
        .or_else(|_| fs::read_link(disk.join("device/device/driver")));
    Some(link.ok()?.file_name()?.to_string_lossy().into_owned())
}

fn trimmed(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const MOUNTS: &str = "\
27 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw
30 27 0:33 /sub /data rw shared:1 - btrfs /dev/md0 rw
31 27 0:40 / /tmp rw - tmpfs tmpfs rw
";

    /// A root with an NVMe disk, its partition and an array made of it.
    fn host() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("proc/self/mountinfo", MOUNTS);
        put("sys/devices/numa_node", "1\n");
        put("sys/devices/nvme0n1/device/hwmon3/temp1_input", "41850\n");
        let disk = "sys/devices/nvme0n1";
        put(&format!("{disk}/device/model"), "ACME 9000   \n");
        put(&format!("{disk}/device/device/current_link_speed"), "32.0 GT/s PCIe\n");
        put(&format!("{disk}/queue/scheduler"), "none [mq-deadline] kyber\n");
        put(&format!("{disk}/nvme0n1p2/partition"), "2\n");
        put(&format!("{disk}/nvme0n1p2/stat"), "  10  0  2048  5 1 1 1 1 1 1 1\n");
        put("sys/devices/md0/stat", "1 0 16 0\n");
        put("sys/devices/md0/md/level", "raid0\n");
        fs::create_dir_all(root.path().join("sys/devices/md0/slaves")).unwrap();
        let dev = root.path().join("sys/dev/block");
        fs::create_dir_all(&dev).unwrap();
        symlink("../../devices/nvme0n1/nvme0n1p2", dev.join("259:2")).unwrap();
        symlink("../../devices/md0", dev.join("9:0")).unwrap();
        let slave = root.path().join("sys/devices/md0/slaves/nvme0n1p2");
        symlink("../../nvme0n1/nvme0n1p2", slave).unwrap();
        root
    }

    fn find(root: &Path, major: u32, minor: u32) -> Device {
        Device::find(root, Ok(libc::makedev(major, minor)), &|path| {
            (path == Path::new("/dev/md0")).then(|| libc::makedev(9, 0))
        })
    }

    #[test]
    fn a_partition_counts_its_own_bytes_and_is_described_by_its_disk() {
        let root = host();
        let device = find(root.path(), 259, 2);
        assert_eq!(device.number, Ok("259:2".into()));
        assert_eq!(device.bytes_read(), Some(2048 * 512));
        let facts = device.describe();
        assert_eq!(facts["file_system"], "ext4");
        assert_eq!(facts["device"], "nvme0n1");
        assert_eq!(facts["model"], "ACME 9000");
        assert_eq!(facts["scheduler"], "mq-deadline");
        assert_eq!(facts["link_speed"], "32.0 GT/s PCIe");
        assert_eq!((device.node(), device.celsius()), (Some(1), Some(41.85)));
    }

    #[test]
    fn a_made_up_number_is_resolved_through_the_mount() {
        let root = host();
        let device = find(root.path(), 0, 33);
        assert_eq!(device.number, Ok("9:0".into()));
        assert_eq!(device.bytes_read(), Some(16 * 512));
        let facts = device.describe();
        assert_eq!(facts["raid_level"], "raid0");
        assert_eq!(facts["built_from"][0]["model"], "ACME 9000");
        assert_eq!((device.node(), device.celsius()), (Some(1), Some(41.85)));
    }

    #[test]
    fn no_device_is_said_with_the_reason() {
        let root = host();
        for (major, minor, part) in [(0, 40, "tmpfs"), (8, 1, "no mount"), (0, 99, "no mount")] {
            let device = find(root.path(), major, minor);
            let why = device.number.clone().unwrap_err();
            assert!(why.contains(part), "{why}");
            assert_eq!(device.bytes_read(), None);
            assert!(device.describe().contains_key("device_unknown"));
        }
        let gone = Device::of(Path::new("/nonexistent"));
        assert!(gone.number.unwrap_err().contains("can't be examined"));
    }
}
