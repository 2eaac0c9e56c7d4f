//! What a PCIe link can carry: its speed and width, less the line coding.

use crate::cuda::Gpu;
use crate::host::Root;
use crate::host::environment::link_gb_per_second;
use crate::record::{Ceiling, Origin};

/// GT/s a lane of each PCIe generation, from the first on (the PCI Express base specification's revisions 1.0 to 6.0).
const GENERATIONS: [f64; 6] = [2.5, 5.0, 8.0, 16.0, 32.0, 64.0];

/// The ceiling of the link of `gpu`, one direction: as NVML saw it while the device worked, since an idle GPU lowers its
/// link to the first generation; without NVML as sysfs has it now.
pub fn of(gpu: &Gpu) -> Option<Ceiling> {
    let seen = gpu.monitor().link_under_load();
    seen.and_then(of_generation).or_else(|| now(&Root::host(), gpu.pci_address()))
}

fn of_generation((generation, lanes): (f64, f64)) -> Option<Ceiling> {
    let speed = GENERATIONS.get((generation as usize).checked_sub(1)?)?;
    (lanes >= 1.0).then(|| ceiling(*speed, lanes, "under load"))
}

/// The ceiling of the link of the device at `address` as negotiated now.
fn now(root: &Root, address: &str) -> Option<Ceiling> {
    let read = |name: &str| {
        root.read(&format!("sys/bus/pci/devices/{address}/current_link_{name}")).text()
    };
    let speed: f64 = read("speed")?.split_whitespace().next()?.parse().ok()?;
    let lanes: f64 = read("width")?.trim().parse().ok()?;
    Some(ceiling(speed, lanes, "as negotiated after the copies"))
}

/// Packet headers take another 5 to 15 %, depending on the payload size, which only root can read.
fn ceiling(speed: f64, lanes: f64, when: &str) -> Ceiling {
    Ceiling {
        value: link_gb_per_second(speed, lanes),
        origin: Origin::Theoretical,
        source: format!("{speed} GT/s x {lanes} lanes {when}, {} line coding", line_coding(speed)),
    }
}

/// Name of the line coding, as in the PCI Express base specification.
fn line_coding(gigatransfers: f64) -> &'static str {
    match gigatransfers {
        g if g <= 5.0 => "8b/10b",
        g if g <= 32.0 => "128b/130b",
        _ => "242/256 FLIT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling_of(speed: &str, width: &str) -> Option<f64> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let device = dir.path().join("sys/bus/pci/devices/0000:01:00.0");
        std::fs::create_dir_all(&device).expect("made");
        std::fs::write(device.join("current_link_speed"), speed).expect("written");
        std::fs::write(device.join("current_link_width"), width).expect("written");
        now(&Root::at(dir.path()), "0000:01:00.0").map(|c| c.value)
    }

    #[test]
    fn generations_carry_what_the_specification_says() {
        let x16 = [("2.5", 4.0), ("8.0", 15.75), ("16.0", 31.51), ("32.0", 63.02), ("64.0", 121.0)];
        for (speed, expected) in x16 {
            let value = ceiling_of(&format!("{speed} GT/s PCIe\n"), "16\n").expect("read");
            assert!((value - expected).abs() < 0.01, "{speed}: {value}");
        }
        assert!((ceiling_of("32.0 GT/s PCIe", "8").expect("read") - 31.51).abs() < 0.01);
    }

    #[test]
    fn nvml_s_generations_are_the_same_links() {
        let of = |generation, lanes| of_generation((generation, lanes)).map(|c| c.value);
        assert_eq!(of(5.0, 16.0), ceiling_of("32.0 GT/s PCIe", "16"));
        assert_eq!(of(1.0, 4.0), ceiling_of("2.5 GT/s PCIe", "4"));
        assert_eq!((of(0.0, 16.0), of(7.0, 16.0), of(4.0, 0.0)), (None, None, None));
    }

    #[test]
    fn an_unreadable_link_has_no_ceiling() {
        assert_eq!(ceiling_of("Unknown", "16"), None);
        assert_eq!(ceiling_of("32.0 GT/s PCIe", ""), None);
    }
}
