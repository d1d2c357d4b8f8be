//! A place to unpack a fetched server in, seen under its final name only when complete.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::{Result, io_error};

/// Servers are run by another account when we are root, so everybody may read them.
const DIRECTORY_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
const EXECUTABLE_MODE: u32 = 0o755;

/// Deepest directory that is visited in an unpacked tree.
const DEPTH_MAX: u32 = 32;

/// An unfinished download; [`Unpacking::finish`] gives it its name, dropping it removes it.
pub(super) struct Unpacking {
    target: PathBuf,
    partial: PathBuf,
    tree: PathBuf,
    downloads: PathBuf,
}

impl Unpacking {
    /// Starts afresh; what an interrupted run left is removed.
    pub(super) fn begin(target: &Path) -> Result<Self> {
        let partial = target.with_added_extension("partial");
        let unpacking = Self {
            target: target.to_path_buf(),
            tree: partial.join("tree"),
            downloads: partial.join("downloads"),
            partial,
        };
        let _ = fs::remove_dir_all(&unpacking.partial);
        for directory in [&unpacking.tree, &unpacking.downloads] {
            fs::create_dir_all(directory).map_err(io_error("create", directory))?;
        }
        Ok(unpacking)
    }

    pub(super) fn tree(&self) -> &Path {
        &self.tree
    }

    pub(super) fn downloads(&self) -> &Path {
        &self.downloads
    }

    /// The downloaded files with this extension.
    pub(super) fn downloaded(&self, extension: &str) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.downloads).map_err(io_error("open", &self.downloads))?;
        let paths = entries.flatten().map(|entry| entry.path());
        Ok(paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect())
    }

    /// Makes the tree readable for everybody, the files of one directory executable (zip files
    /// lose that), and shows the tree under its name.
    pub(super) fn finish(self, executables: Option<&Path>) -> Result<()> {
        open_up(&self.tree, executables, 0)?;
        if let Some(programs) = self.target.parent() {
            // Created by us, whatever the umask said.
            set_mode(programs, DIRECTORY_MODE)?;
        }
        let _ = fs::remove_dir_all(&self.target);
        fs::rename(&self.tree, &self.target).map_err(io_error("rename", &self.tree))
    }
}

impl Drop for Unpacking {
    fn drop(&mut self) {
        // What can't be removed now is removed by the next try.
        let _ = fs::remove_dir_all(&self.partial);
    }
}

fn open_up(directory: &Path, executables: Option<&Path>, depth: u32) -> Result<()> {
    set_mode(directory, DIRECTORY_MODE)?;
    let entries = fs::read_dir(directory).map_err(io_error("open", directory))?;
    for entry in entries.flatten() {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).map_err(io_error("open", &path))?;
        if metadata.is_dir() && depth < DEPTH_MAX {
            open_up(&path, executables, depth + 1)?;
        } else if metadata.is_file() {
            let was_executable = metadata.permissions().mode() & 0o100 != 0;
            let executable = was_executable || executables == Some(directory);
            set_mode(&path, if executable { EXECUTABLE_MODE } else { FILE_MODE })?;
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(io_error("set the permissions of", path))
}
