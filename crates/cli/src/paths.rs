//! Where things are: the folder `.dapr` and what is in it, paths that users write.

use anyhow::{Context, Result};
use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder `.dapr`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// The folder `.dapr` in the given folder, or in the home folder of the user.
    pub(crate) fn new(runtime_path: Option<&Path>) -> Result<Self> {
        let parent = match runtime_path {
            Some(path) if !path.as_os_str().is_empty() => absolute(path)?,
            _ => env::home_dir().context("there is no home folder: say where .dapr is with --runtime-path")?,
        };
        Ok(Self(parent.join(".dapr")))
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// The programs.
    pub(crate) fn bin(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// The components of applications that have none of their own.
    pub(crate) fn components(&self) -> PathBuf {
        self.0.join("components")
    }

    /// The configuration of applications that have none of their own.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config.yaml")
    }

    /// What the default components keep.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The folder of resources for applications that have none of their own: `resources`, or `components`.
    pub(crate) fn default_resources(&self) -> Option<PathBuf> {
        [self.0.join("resources"), self.components()]
            .into_iter()
            .find(|folder| folder.is_dir())
    }

    /// The configuration file for applications that have none of their own, if it is there.
    pub(crate) fn default_config(&self) -> Option<PathBuf> {
        Some(self.config()).filter(|file| file.is_file())
    }
}

/// An absolute path without `.` and `..`, whether it is there or not.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    let folder = env::current_dir().context("the current folder cannot be told")?;
    Ok(within(&folder, path))
}

/// A path as a user writes it in a file: absolute, from the home folder (`~/x`), or from the folder `base`.
pub(crate) fn within(base: &Path, path: &Path) -> PathBuf {
    let path = match (path.strip_prefix("~"), env::home_dir()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => base.join(path),
    };
    clean(&path)
}

/// Leaves out `.`, and `..` with what stands before it.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if cleaned.file_name().is_some() => {
                cleaned.pop();
            }
            Component::ParentDir if cleaned.has_root() => {}
            part => cleaned.push(part),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_from_a_folder_and_clean() {
        let base = Path::new("/work/demo");
        assert_eq!(within(base, Path::new("./app/")), Path::new("/work/demo/app"));
        assert_eq!(within(base, Path::new("../x/./y")), Path::new("/work/x/y"));
        assert_eq!(within(base, Path::new("/abs/../b")), Path::new("/b"));
        assert_eq!(within(base, Path::new("../../../..")), Path::new("/"));
        let home = env::home_dir().unwrap();
        assert_eq!(within(base, Path::new("~/c")), home.join("c"));
        assert_eq!(within(base, Path::new("~c")), Path::new("/work/demo/~c"));
    }

    #[test]
    fn the_runtime_path_is_the_parent_of_dapr() {
        let home = Home::new(Some(Path::new("/opt/x"))).unwrap();
        assert_eq!(home.folder(), Path::new("/opt/x/.dapr"));
        assert_eq!(home.config(), Path::new("/opt/x/.dapr/config.yaml"));
        assert_eq!(Home::new(Some(Path::new(""))).unwrap(), Home::new(None).unwrap());
    }
}
