//! Where the control groups of this process are: version 2, or the version 1 hierarchy of a controller.

use super::root::Root;

/// The directories of one controller, from the process's own group up to the root of the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// 1 or 2.
    pub version: u8,
    /// Innermost first.
    pub levels: Vec<String>,
}

/// The hierarchies that may hold limits of `controller`, version 2 last.
pub fn hierarchies(root: &Root, controller: &str) -> Vec<Hierarchy> {
    let own = root.read("/proc/self/cgroup").text().unwrap_or_default();
    own.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            if controllers.is_empty() {
                // In hybrid set-ups version 2 is mounted beside the version 1 hierarchies.
                let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
                let mount = mounts.into_iter().find(|mount| root.exists(mount))?;
                Some(Hierarchy { version: 2, levels: levels(mount, path) })
            } else if controllers.split(',').any(|c| c == controller) {
                let mounts = [controllers, controller].map(|name| format!("/sys/fs/cgroup/{name}"));
                let mount = mounts.iter().find(|mount| root.exists(mount))?;
                Some(Hierarchy { version: 1, levels: levels(mount, path) })
            } else {
                None
            }
        })
        .collect()
}

/// `mount` with every prefix of `path`, longest first.
fn levels(mount: &str, path: &str) -> Vec<String> {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    (0..=names.len()).rev().map(|depth| [&[mount], &names[..depth]].concat().join("/")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_go_from_the_leaf_to_the_root() {
        assert_eq!(levels("/c", "/a/b"), ["/c/a/b", "/c/a", "/c"]);
        assert_eq!(levels("/c", "/"), ["/c"]);
    }
}
