//! Which machine, which firmware, which boot, which distribution.

use serde_json::Value;

use super::super::root::Reading;
use super::Class;
use super::collector::Collector;

/// SMBIOS strings that name models and firmware. Serial numbers and the product UUID are left out on purpose.
const DMI: [(&str, Class); 13] = [
    ("sys_vendor", Class::Identity),
    ("product_name", Class::Identity),
    ("product_family", Class::Identity),
    ("product_sku", Class::Identity),
    ("product_version", Class::Identity),
    ("board_vendor", Class::Identity),
    ("board_name", Class::Identity),
    ("board_version", Class::Identity),
    ("chassis_type", Class::Identity),
    ("bios_vendor", Class::Bios),
    ("bios_version", Class::Bios),
    ("bios_date", Class::Bios),
    ("bios_release", Class::Bios),
];

pub fn collect(c: &mut Collector<'_>) {
    for (name, class) in DMI {
        c.text(&format!("dmi.{name}"), &format!("/sys/class/dmi/id/{name}"), class);
    }
    c.text("dmi.ec_firmware_release", "/sys/class/dmi/id/ec_firmware_release", Class::Bios);

    c.parsed("machine.id_hash", "/etc/machine-id", Class::Identity, |id| {
        // 64 of 128 bits, keyed: it tells machines apart, and can't be turned back into the id.
        let digits = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| {
            format!("{:016x}", xxhash_rust::xxh3::xxh3_64(format!("hostdyno {id}").as_bytes()))
                .into()
        })
    });
    c.text("boot.id", "/proc/sys/kernel/random/boot_id", Class::Volatile);
    c.parsed("boot.time", "/proc/stat", Class::Volatile, |stat| {
        let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
        seconds.trim().parse::<u64>().ok().map(Value::from)
    });
    c.parsed("boot.uptime_seconds", "/proc/uptime", Class::Volatile, |text| {
        text.split_whitespace().next()?.parse::<f64>().ok().map(Value::from)
    });

    firmware(c);
    distribution(c);
}

fn firmware(c: &mut Collector<'_>) {
    const EFI: &str = "/sys/firmware/efi";
    c.put("firmware.uefi", c.root.exists(EFI), EFI, Class::Bios);
    secure_boot(c);
    // Firmware settings that a vendor's driver shows. Reading them usually needs authorisation.
    const ATTRIBUTES: &str = "/sys/class/firmware-attributes";
    let vendors = c.root.names(ATTRIBUTES);
    if vendors.is_empty() {
        c.absent("bios.attributes", ATTRIBUTES, Class::Bios);
    }
    for vendor in vendors {
        let directory = format!("{ATTRIBUTES}/{vendor}/attributes");
        for attribute in c.root.names(&directory) {
            let path = format!("{directory}/{attribute}/current_value");
            c.text(&format!("bios.attribute.{attribute}"), &path, Class::Bios);
        }
    }
}

/// An EFI variable: four bytes of attributes, then the value. It is binary, so it is read past [`Reading`].
fn secure_boot(c: &mut Collector<'_>) {
    const VARIABLES: &str = "/sys/firmware/efi/efivars";
    let name = "firmware.secure_boot";
    let found = c.root.names(VARIABLES).into_iter().find(|v| v.starts_with("SecureBoot-"));
    let Some(variable) = found else {
        c.absent(name, VARIABLES, Class::Bios);
        return;
    };
    let path = format!("{VARIABLES}/{variable}");
    match std::fs::read(c.root.join(&path)).as_deref() {
        Ok([_, _, _, _, on @ (0 | 1)]) => c.put(name, *on == 1, &path, Class::Bios),
        Ok(_) => {
            let garbled = Reading::Garbled("not a one-byte variable".into());
            c.reading(name, &path, Class::Bios, garbled, |_| None);
        }
        Err(_) => c.denied(name, &path, Class::Bios),
    }
}

fn distribution(c: &mut Collector<'_>) {
    let path = "/etc/os-release";
    let text = match c.root.read(path) {
        Reading::Text(text) => text,
        other => {
            c.reading("os.name", path, Class::Kernel, other, |_| None);
            return;
        }
    };
    for (key, name) in [("PRETTY_NAME", "os.name"), ("ID", "os.id"), ("VERSION_ID", "os.version")] {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        match value {
            Some(value) => c.put(name, value.trim_matches(['"', '\'']), path, Class::Kernel),
            None => c.absent(name, path, Class::Kernel),
        }
    }
}
