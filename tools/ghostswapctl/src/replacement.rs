// SPDX-License-Identifier: GPL-2.0

//! A file that takes the place of another one as a whole: a reader sees the one or the other, whatever
//! happens.

use std::{
    fs::{
        self,
        File,
        OpenOptions, //
    },
    io,
    os::unix::fs::OpenOptionsExt,
    path::{
        Path,
        PathBuf, //
    },
};

/// A file beside another one, which is to replace it. It goes unless it does.
pub struct Replacement {
    of: PathBuf,
    path: PathBuf,
    file: File,
}

impl Replacement {
    /// A new, empty file of mode 600 that is to replace the file `of`, or to be that if there is none.
    pub fn of(of: &Path) -> io::Result<Self> {
        let mut path = of.as_os_str().to_owned();
        path.push(format!(".ghostswapctl.{}", std::process::id()));
        let path = PathBuf::from(path);
        let make = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(&path)
        };
        let file = make().or_else(|error| match error.kind() {
            // One that was killed had the id that this process has now.
            io::ErrorKind::AlreadyExists => fs::remove_file(&path).and_then(|()| make()),
            _ => Err(error),
        })?;
        let of = of.to_owned();
        Ok(Self { of, path, file })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Replaces the other one. Once this succeeds, readers see the new content; it is on the disk if the file
    /// was synced before and the filesystem can sync a directory.
    pub fn take_place(self) -> io::Result<()> {
        fs::rename(&self.path, &self.of)?;
        // The new file is there already, so a failure is none.
        let directory = File::open(self.of.parent().unwrap_or(Path::new("/")));
        let _ = directory.and_then(|directory| directory.sync_all());
        Ok(())
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // After a rename there is none of this name.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let directory = std::env::temp_dir().join(format!("replacement.{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let file = directory.join("file");
        fs::write(&file, "old").unwrap();
        let replacement = Replacement::of(&file).unwrap();
        replacement.file().write_all(b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"old");
        drop(replacement);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        // What a process left that was killed is not in the way.
        let left = Replacement::of(&file).unwrap();
        left.file().write_all(b"left").unwrap();
        let replacement = Replacement::of(&file).unwrap();
        replacement.file().write_all(b"new").unwrap();
        replacement.take_place().unwrap();
        drop(left);
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();
    }
}
