// SPDX-License-Identifier: GPL-2.0

//! Ghost files that are made, mounted and swapped on, and taken back.

use crate::{
    failure::{
        plain,
        Failure,
        Result, //
    },
    ghost_file,
    mounts::Mount,
    programs::{
        command,
        quote,
        run,
        shell, //
    },
    root::Root,
    words::tell,
};
use std::{
    io,
    path::Path, //
};

/// What is to be done where a ghost file is left.
pub const REMOVE_BY_HAND: &str = "Remove it by hand.";

/// A ghost file that is to be made, mounted and swapped on.
pub struct NewArea {
    /// The path of the ghost file, as mount(8) knows it.
    pub file: String,
    pub bytes: u64,
    /// The options to mount it with.
    pub options: Vec<String>,
    pub priority: i32,
}

impl NewArea {
    /// What a person would type to make the file.
    pub fn how_to_make(&self) -> String {
        let (file, bytes) = (quote(&self.file), self.bytes);
        format!(
            "truncate -s {bytes} {file}\n\
             chmod 600 {file}\n\
             mkswap -L {} {file}\n\
             truncate -s 4096 {file}\n",
            ghost_file::LABEL,
        )
    }

    /// What a person would type to mount it and to swap it on.
    pub fn how_to_turn_on(&self) -> String {
        format!("{}\n{}\n", shell(&self.mount()), shell(&self.swap_on()))
    }

    fn mount(&self) -> Vec<String> {
        let mut words = vec!["mount", "-t", "ghostswap"];
        let options = self.options.join(",");
        if !options.is_empty() {
            words.extend(["-o", &options]);
        }
        words.extend([&self.file as &str, &self.file]);
        words.into_iter().map(str::to_owned).collect()
    }

    fn swap_on(&self) -> Vec<String> {
        ["swapon", "-p", &self.priority.to_string(), &self.file]
            .map(str::to_owned)
            .to_vec()
    }

    /// Makes it, mounts it and swaps it on. If that fails, or what is done `then`, nothing of it is left.
    pub fn turn_on(&self, root: &Root, then: impl FnOnce() -> Result) -> Result {
        let mut done = Done::default();
        let result = self.execute(root, &mut done).and_then(|()| then());
        if result.is_err() {
            done.take_back(&self.file);
        }
        result
    }

    fn execute(&self, root: &Root, done: &mut Done) -> Result {
        ghost_file::make(Path::new(&self.file), self.bytes).map_err(|error| {
            Failure::new(
                format!("{} cannot be made: {}", self.file, plain(&error)),
                "Name a file on a filesystem that can be written, with --file.",
            )
        })?;
        done.file = true;
        run(root, &self.mount())?;
        done.mount = true;
        run(root, &self.swap_on())?;
        done.swap = true;
        Ok(())
    }
}

/// What was done, and must be taken back if more fails.
#[derive(Default)]
struct Done {
    file: bool,
    mount: bool,
    swap: bool,
}

impl Done {
    fn take_back(&self, file: &str) {
        let run = |words: [&str; 2]| {
            let words = words.map(str::to_owned);
            let why = match command(&words).status() {
                Ok(status) if status.success() => return,
                Ok(status) => status.to_string(),
                Err(error) => plain(&error),
            };
            tell!("ghostswapctl: {}: {why}; do it by hand\n", shell(&words));
        };
        if self.swap {
            run(["swapoff", file]);
        }
        if self.mount {
            run(["umount", file]);
        }
        if self.file {
            if let Err(error) = ghost_file::remove(Path::new(file)) {
                tell!("ghostswapctl: {file} is left: {}\n", plain(&error));
            }
        }
    }
}

/// The command that a person would type to remove the ghost file at `path`.
pub fn how_to_remove(path: &str) -> String {
    shell(&["rm", path].map(str::to_owned))
}

/// Why the ghost file at `path` is left.
pub fn not_removed(path: &str, error: &io::Error, remedy: &str) -> Failure {
    Failure::new(
        format!("{path} cannot be removed: {}", plain(error)),
        remedy,
    )
}

/// Swaps off and unmounts what is mounted.
pub fn take_off(root: &Root, mount: &Mount) -> Result {
    (turn_off(mount).iter()).try_for_each(|command| run(root, command))
}

/// The commands that turn off what is mounted.
pub fn turn_off(mount: &Mount) -> Vec<[String; 2]> {
    let swapoff = mount.swap.as_ref().map(|_| "swapoff");
    let commands = swapoff.into_iter().chain(["umount"]);
    commands
        .map(|command| [command.to_owned(), mount.path.clone()])
        .collect()
}
