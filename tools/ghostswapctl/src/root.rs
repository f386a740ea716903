// SPDX-License-Identifier: GPL-2.0

//! Where the files of the system are: below `/`, or below a directory with a copy of some of them.

use crate::failure::{
    Failure,
    Result, //
};
use std::{
    env, fs, io,
    path::{
        Path,
        PathBuf, //
    },
};

/// The variable that names another directory in place of `/`, for tests.
const VARIABLE: &str = "GHOSTSWAP_ROOT";

/// The directory below which `/proc`, `/sys` and `/etc` are looked for.
pub struct Root {
    directory: PathBuf,
    is_copy: bool,
}

impl Root {
    /// The one that the environment names, by default `/`.
    pub fn from_environment() -> Self {
        match env::var_os(VARIABLE).filter(|directory| !directory.is_empty()) {
            Some(directory) => Self {
                directory: directory.into(),
                is_copy: true,
            },
            None => Self {
                directory: "/".into(),
                is_copy: false,
            },
        }
    }

    /// Returns whether it is a copy, where nothing can be mounted or swapped on.
    pub fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// Where the file is that the system has at the path `file`.
    pub fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        let file = file.as_ref();
        self.directory.join(file.strip_prefix("/").unwrap_or(file))
    }

    /// Returns whether the system has a `file`.
    pub fn has(&self, file: impl AsRef<Path>) -> bool {
        self.path(file).exists()
    }

    /// The text of a `file`. What is no text is replaced.
    pub fn text(&self, file: impl AsRef<Path>) -> io::Result<String> {
        let bytes = fs::read(self.path(file))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a `file`, or nothing if it cannot be read.
    pub fn line(&self, file: impl AsRef<Path>) -> Option<String> {
        let text = self.text(file).ok()?;
        Some(text.lines().next()?.trim_end().to_owned())
    }

    /// The path by which mount(8) knows a `file`: no directory in it is a link. The file itself need not be
    /// there.
    pub fn resolve(&self, file: &str) -> io::Result<String> {
        let no_file = || io::Error::from(io::ErrorKind::InvalidInput);
        let path = Path::new(file);
        let (parent, name) = path.parent().zip(path.file_name()).ok_or_else(no_file)?;
        let directory = fs::canonicalize(self.path(parent))?;
        let root = fs::canonicalize(&self.directory)?;
        let below = directory.strip_prefix(root).unwrap_or(&directory);
        let path = Path::new("/").join(below).join(name);
        path.into_os_string().into_string().map_err(|_| no_file())
    }

    /// Returns whether two paths are of one file, as `/dev/disk/by-uuid/...` and `/dev/sda2` may be.
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        let real = |path| fs::canonicalize(self.path(path)).ok();
        one == other || real(one).is_some_and(|one| real(other) == Some(one))
    }

    /// RAM in bytes, as the module counts it for limits in percent.
    pub fn ram(&self) -> Option<u64> {
        let text = self.text("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib: u64 = line?.split_whitespace().next()?.parse().ok()?;
        Some(kib << 10)
    }

    /// That this process may mount and swap on here; if not, why not.
    pub fn may_change(&self) -> Result {
        if self.is_copy() {
            return Err(Failure::new(
                "GHOSTSWAP_ROOT names a copy, where nothing can be mounted",
                "Unset it, or give --dry-run.",
            ));
        }
        if !self.may_manage() {
            return Err(Failure::new(
                "to mount and to swap on is for root",
                "Run it as root, for instance with sudo; --dry-run prints what it would do.",
            ));
        }
        Ok(())
    }

    /// Returns whether this process may mount, swap on and give orders.
    pub fn may_manage(&self) -> bool {
        const CAP_SYS_ADMIN: u64 = 1 << 21;
        let status = self.text("/proc/self/status").unwrap_or_default();
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        effective
            .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
            .is_some_and(|effective| effective & CAP_SYS_ADMIN != 0)
    }
}
