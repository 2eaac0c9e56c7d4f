//! What is loaded, and how much of it: from the environment and the profile.

use std::path::PathBuf;
use std::time::Duration;

use crate::measure::Profile;
use crate::storage::synthetic::CACHE_VARIABLE;

/// Environment variable that names a directory with a real model.
pub const MODEL_VARIABLE: &str = "HOSTDYNO_MODEL_DIR";

/// Where synthetic sets are kept unless the environment says otherwise, below the workspace.
const CACHE_NAME: &str = ".models";

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A real model; without one a synthetic set is made.
    pub model_dir: Option<PathBuf>,
    /// Where synthetic sets are kept.
    pub cache: PathBuf,
    /// Most bytes of the set.
    pub budget: u64,
    /// About how long one load may take; the set is cut to as many shards as the device reads in that time.
    pub load_time: Duration,
}

impl Options {
    /// As the environment and `profile` say.
    pub fn from_environment(profile: Profile) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // A metric takes about 13 loads (verified twice, warmed up, 10 samples), and there are five of them.
        let (gib, millis) = match profile {
            Profile::Quick => (1, 400),
            Profile::Standard => (4, 1000),
            Profile::Thorough => (16, 8000),
        };
        Self {
            model_dir: variable(MODEL_VARIABLE).map(PathBuf::from),
            cache: variable(CACHE_VARIABLE).map_or_else(default_cache, PathBuf::from),
            budget: gib << 30,
            load_time: Duration::from_millis(millis),
        }
    }
}

/// `.models` beside the manifest of the workspace under Cargo, else in the current directory.
fn default_cache() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default().join(CACHE_NAME)
}
