//! Drives, their request queues, and what is mounted from them.

use super::Class;
use super::collector::Collector;

/// Mounts beyond this many are not listed: containers can have thousands.
const MOST_MOUNTS: usize = 64;

pub fn collect(c: &mut Collector<'_>) {
    const NVME: &str = "/sys/class/nvme";
    for drive in c.root.names(NVME) {
        let at = format!("{NVME}/{drive}");
        for file in ["model", "firmware_rev", "transport", "address"] {
            c.text(&format!("nvme.{drive}.{file}"), &format!("{at}/{file}"), Class::Identity);
        }
        c.number(&format!("nvme.{drive}.numa_node"), &format!("{at}/numa_node"), Class::Bios);
        c.number(&format!("nvme.{drive}.queue_count"), &format!("{at}/queue_count"), Class::Kernel);
    }
    queues(c);
    mounts(c);
}

fn queues(c: &mut Collector<'_>) {
    const BLOCK: &str = "/sys/block";
    const NUMBERS: [(&str, Class); 12] = [
        ("logical_block_size", Class::Identity),
        ("physical_block_size", Class::Identity),
        ("rotational", Class::Identity),
        ("max_hw_sectors_kb", Class::Identity),
        ("nr_requests", Class::Kernel),
        ("read_ahead_kb", Class::Kernel),
        ("max_sectors_kb", Class::Kernel),
        ("io_poll", Class::Kernel),
        ("nomerges", Class::Kernel),
        ("rq_affinity", Class::Kernel),
        ("wbt_lat_usec", Class::Kernel),
        ("iostats", Class::Kernel),
    ];
    let virtual_disk =
        |name: &str| ["loop", "ram", "zram"].iter().any(|kind| name.starts_with(kind));
    for disk in c.root.names(BLOCK).into_iter().filter(|name| !virtual_disk(name)) {
        let at = format!("{BLOCK}/{disk}");
        c.number(&format!("block.{disk}.sectors"), &format!("{at}/size"), Class::Identity);
        c.choice(
            &format!("block.{disk}.scheduler"),
            &format!("{at}/queue/scheduler"),
            Class::Kernel,
        );
        c.text(
            &format!("block.{disk}.write_cache"),
            &format!("{at}/queue/write_cache"),
            Class::Identity,
        );
        for (file, class) in NUMBERS {
            c.number(&format!("block.{disk}.{file}"), &format!("{at}/queue/{file}"), class);
        }
    }
}

/// File systems that hold data, not those that the kernel makes up.
fn mounts(c: &mut Collector<'_>) {
    const PATH: &str = "/proc/self/mountinfo";
    const HOLD_DATA: [&str; 20] = [
        "ext4", "ext3", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay", "nfs", "nfs4",
        "cifs", "lustre", "beegfs", "ceph", "gpfs", "fuse", "virtiofs", "9p", "wekafs", "tmpfs",
    ];
    const SYSTEM: [&str; 8] =
        ["/proc", "/sys", "/dev", "/run", "/etc", "/snap", "/boot", "/var/lib"];
    let Some(text) = c.root.read(PATH).text() else {
        c.absent("mounts", PATH, Class::Runtime);
        return;
    };
    let mut found: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| {
            // 36 35 98:0 /root /mount options optional... - type source super-options
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(4);
            let (point, options) = (left.next()?, left.next()?);
            let mut right = right.split(' ');
            let (kind, source) = (right.next()?, right.next()?);
            let wanted = HOLD_DATA.contains(&kind.split('.').next()?)
                && !SYSTEM.iter().any(|dir| point == *dir || point.starts_with(&format!("{dir}/")));
            wanted.then(|| (format!("mount.{point}"), format!("{kind} {options} {source}")))
        })
        .collect();
    found.truncate(MOST_MOUNTS);
    for (name, value) in found {
        c.put(&name, value, PATH, Class::Runtime);
    }
}
