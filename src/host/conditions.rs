//! What else is going on: a cheap sample before and after each metric.
//!
//! Load average, time stolen by the hypervisor, clocks and pressure. It labels a number, and never drops one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::environment::pressure;
use super::root::Root;

/// One moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditions {
    load_average: Option<f64>,
    /// Clock ticks since boot: all, and those stolen by the hypervisor.
    ticks: Option<(u64, u64)>,
    /// MHz of each CPU, where the kernel shows it.
    mhz: Vec<f64>,
    /// Percent of the last 10 s in which some task waited: CPU, memory, I/O.
    pressure: BTreeMap<&'static str, f64>,
}

impl Conditions {
    /// Samples this host: well below a millisecond on small hosts, a few on those with hundreds of CPUs.
    pub fn sample() -> Self {
        Self::read(&Root::host())
    }

    /// Samples the host under `root`.
    pub fn read(root: &Root) -> Self {
        let text = |path: &str| root.read(path).text();
        let load_average =
            text("/proc/loadavg").and_then(|t| t.split_whitespace().next()?.parse().ok());
        let pressure = ["cpu", "memory", "io"]
            .into_iter()
            .filter_map(|kind| Some((kind, pressure(&text(&format!("/proc/pressure/{kind}"))?)?.0)))
            .collect();
        Self {
            load_average,
            ticks: text("/proc/stat").and_then(|stat| ticks(&stat)),
            mhz: clocks(root),
            pressure,
        }
    }

    /// Both moments and what happened between them, as a record keeps it.
    pub fn between(before: &Self, after: &Self) -> BTreeMap<String, Value> {
        let mut map = BTreeMap::new();
        map.insert("before".to_owned(), before.to_json());
        map.insert("after".to_owned(), after.to_json());
        if let (Some(from), Some(to)) = (before.ticks, after.ticks) {
            // Ticks are 10 ms: of a short interval nothing can be said.
            let all = to.0.saturating_sub(from.0);
            if all > 0 {
                let stolen = to.1.saturating_sub(from.1) as f64 / all as f64;
                map.insert("stolen_fraction".to_owned(), json!(stolen));
            }
        }
        map
    }

    fn to_json(&self) -> Value {
        let mut map = serde_json::Map::new();
        if let Some(load) = self.load_average {
            map.insert("load_average_1min".into(), json!(load));
        }
        if !self.mhz.is_empty() {
            let low = self.mhz.iter().copied().fold(f64::INFINITY, f64::min);
            let high = self.mhz.iter().copied().fold(0.0, f64::max);
            map.insert("cpu_mhz".into(), json!({"min": low, "max": high}));
        }
        if !self.pressure.is_empty() {
            map.insert("pressure_avg10_percent".into(), json!(self.pressure));
        }
        Value::Object(map)
    }
}

/// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal (guest times are in user's).
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Option<Vec<u64>> =
        line.split_whitespace().take(8).map(|field| field.parse().ok()).collect();
    fields.filter(|f| f.len() == 8).map(|f| (f.iter().sum(), f[7]))
}

/// What cpufreq says, else what `/proc/cpuinfo` says.
fn clocks(root: &Root) -> Vec<f64> {
    const POLICIES: &str = "/sys/devices/system/cpu/cpufreq";
    let kilohertz: Vec<f64> = root
        .names(POLICIES)
        .iter()
        .filter_map(|policy| root.number(&format!("{POLICIES}/{policy}/scaling_cur_freq")))
        .map(|khz| khz as f64 / 1e3)
        .collect();
    if !kilohertz.is_empty() {
        return kilohertz;
    }
    let cpuinfo = root.read("/proc/cpuinfo").text().unwrap_or_default();
    let lines = cpuinfo.lines().filter_map(|line| line.strip_prefix("cpu MHz"));
    lines.filter_map(|line| line.split_once(':')?.1.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(files: &[(&str, &str)]) -> Conditions {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let at = dir.path().join(path);
            std::fs::create_dir_all(at.parent().unwrap()).unwrap();
            std::fs::write(at, text).unwrap();
        }
        Conditions::read(&Root::at(dir.path()))
    }

    #[test]
    fn steal_is_the_part_of_the_interval() {
        let before = fake(&[
            ("proc/stat", "cpu  100 0 0 100 0 0 0 10 7 0\n"),
            ("proc/loadavg", "1.25 0 0 1/2 3"),
            ("proc/cpuinfo", "cpu MHz\t: 2596.1\ncpu MHz\t: 3700.0\n"),
            ("proc/pressure/cpu", "some avg10=2.50 avg60=0 avg300=0 total=1\n"),
        ]);
        let after = fake(&[("proc/stat", "cpu  140 0 0 140 0 0 0 30 9 0\n")]);
        let map = Conditions::between(&before, &after);
        assert_eq!(map["stolen_fraction"], json!(0.2));
        assert_eq!(map["before"]["load_average_1min"], json!(1.25));
        assert_eq!(map["before"]["cpu_mhz"], json!({"min": 2596.1, "max": 3700.0}));
        assert_eq!(map["before"]["pressure_avg10_percent"]["cpu"], json!(2.5));
        assert_eq!(map["after"], json!({}));
    }

    #[test]
    fn garbage_gives_nothing() {
        let bad = fake(&[
            ("proc/stat", "cpu  1 x\n"),
            ("proc/loadavg", "much"),
            ("proc/pressure/io", "?"),
        ]);
        assert_eq!(
            Conditions::between(&bad, &bad),
            [("before".into(), json!({})), ("after".into(), json!({}))].into()
        );
    }

    #[test]
    fn this_host_says_something() {
        let now = Conditions::sample();
        assert!(now.ticks.is_some() && now.load_average.is_some());
    }
}
