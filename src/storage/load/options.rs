//! What is loaded, and how much of it: from the environment and the profile.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::measure::Profile;
use crate::storage::synthetic::{CACHE_VARIABLE, Model};

/// Environment variable that names a directory with a real model.
pub const MODEL_VARIABLE: &str = "HOSTDYNO_MODEL_DIR";

/// Where synthetic sets are kept unless the environment says otherwise, below the workspace.
const CACHE_NAME: &str = ".models";

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A real model; without one a synthetic set is made.
    pub model_dir: Option<PathBuf>,
    /// Whose layout the synthetic set has.
    pub layout: Model,
    /// Where synthetic sets are kept.
    pub cache: PathBuf,
    /// Most bytes of the set.
    pub budget: u64,
    /// About how long one load may take; the set is cut to as many shards as the device reads in that time.
    pub load_time: Duration,
}

impl Options {
    /// As the environment and `profile` say.
    ///
    /// # Errors
    /// When the environment names a layout that there is not.
    pub fn from_environment(profile: Profile) -> Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // A metric takes about 13 loads (verified twice, warmed up, 10 samples), and there are five of them.
        let (gib, millis) = match profile {
            Profile::Quick => (1, 400),
            Profile::Standard => (4, 1000),
            Profile::Thorough => (16, 8000),
        };
        let layout = variable(Model::VARIABLE).map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            model_dir: variable(MODEL_VARIABLE).map(PathBuf::from),
            layout: Model::parse(layout.as_deref())?,
            cache: default_cache(),
            budget: gib << 30,
            load_time: Duration::from_millis(millis),
        })
    }
}

/// Where synthetic sets are kept: as `HOSTDYNO_MODEL_CACHE` says, else `.models` beside the manifest of the workspace
/// under Cargo, else in the current directory.
pub fn default_cache() -> PathBuf {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable(CACHE_VARIABLE)
        .unwrap_or_else(|| variable("CARGO_MANIFEST_DIR").unwrap_or_default().join(CACHE_NAME))
}
