//! What is loaded, and how much of it: from the environment and the profile.

use std::path::PathBuf;
use std::time::Duration;

use crate::measure::Profile;
use crate::storage::read::ladder::IDLE_MS;
use crate::storage::read::ring::Polling;
use crate::storage::synthetic::{CACHE_VARIABLE, Model};
use crate::{Error, Result};

/// Environment variable that names a directory with a real model.
pub const MODEL_VARIABLE: &str = "HOSTDYNO_MODEL_DIR";

/// Environment variable that chooses how direct reads poll.
pub const POLLING_VARIABLE: &str = "HOSTDYNO_IO_POLLING";

/// Where synthetic sets are kept unless the environment says otherwise, below the workspace.
const CACHE_NAME: &str = ".models";

/// What to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A real model; without one a synthetic set is made.
    pub model_dir: Option<PathBuf>,
    /// Whose layouts synthetic sets have, the first one the most important.
    pub layouts: Vec<Model>,
    /// Where synthetic sets are kept.
    pub cache: PathBuf,
    /// Most bytes of the set.
    pub budget: u64,
    /// How direct reads poll, if at all.
    pub polling: Polling,
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
        // A metric takes about 13 loads (verified twice, warmed up, 10 samples), and there are a dozen of them.
        let (gib, millis) = match profile {
            Profile::Quick => (1, 250),
            Profile::Standard => (4, 600),
            Profile::Thorough => (16, 8000),
        };
        let layouts = match variable(Model::VARIABLE) {
            Some(names) => Model::parse(&names.to_string_lossy())?,
            None => match profile {
                Profile::Quick => Model::ALL[..1].to_vec(),
                Profile::Standard => Model::ALL[..2].to_vec(),
                Profile::Thorough => Model::ALL.to_vec(),
            },
        };
        Ok(Self {
            model_dir: variable(MODEL_VARIABLE).map(PathBuf::from),
            layouts,
            cache: default_cache(),
            budget: gib << 30,
            polling: polling(std::env::var(POLLING_VARIABLE).ok().as_deref())?,
            load_time: Duration::from_millis(millis),
        })
    }
}

impl Options {
    /// The sets to load, each with options of its own: the real model, or one of each layout.
    pub fn sets(&self) -> Vec<Self> {
        let one = |layout: &Model| Self { layouts: vec![layout.clone()], ..self.clone() };
        if self.model_dir.is_some() {
            return vec![self.clone()];
        }
        self.layouts.iter().map(one).collect()
    }
}

/// How reads poll, by the environment variable's text.
fn polling(value: Option<&str>) -> Result<Polling> {
    match value {
        None | Some("" | "none") => Ok(Polling::None),
        Some("completions") => Ok(Polling::Completions),
        Some("submissions") => Ok(Polling::Submissions(IDLE_MS)),
        Some(other) => Err(Error::input(
            format!("{POLLING_VARIABLE}={other:?} is no way of polling"),
            format!("Set {POLLING_VARIABLE} to none, completions (IOPOLL) or submissions (SQPOLL)"),
        )),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_polling_have_names_and_others_are_refused() {
        assert_eq!(polling(None).unwrap(), Polling::None);
        assert_eq!(polling(Some("completions")).unwrap(), Polling::Completions);
        assert_eq!(polling(Some("submissions")).unwrap(), Polling::Submissions(IDLE_MS));
        let error = polling(Some("IOPOLL")).unwrap_err().to_string();
        assert!(error.contains("IOPOLL") && error.contains("completions"), "{error}");
    }
}
