// SPDX-License-Identifier: GPL-2.0

//! Copies of `/` that were recorded, on which the program runs.

use std::{
    env, fs,
    path::{
        Path,
        PathBuf, //
    },
    process::Command,
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
};

/// A copy of `/`, which goes when it is dropped.
pub struct Tree(pub PathBuf);

/// What the program said.
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Tree {
    pub fn empty() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "ghostswapctl.{}.{}",
            std::process::id(),
            MADE.fetch_add(1, Relaxed)
        );
        let tree = Self(env::temp_dir().join(name));
        fs::create_dir(&tree.0).unwrap();
        tree
    }

    /// That of `tests/trees/<name>.tree`.
    pub fn recorded(name: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/trees/{name}.tree"));
        let text = fs::read_to_string(file).unwrap();
        let mut tree = Self::empty();
        for part in text.split("\n== ").skip(1) {
            let (path, content) = part.split_once('\n').unwrap_or((part, ""));
            tree = tree.with(path, &format!("{}\n", content.trim_end_matches('\n')));
        }
        tree
    }

    /// With another content of a file.
    pub fn with(self, path: &str, content: &str) -> Self {
        let file = self.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self
    }

    /// Without a file or directory.
    pub fn without(self, path: &str) -> Self {
        let path = self.path(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        self
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.strip_prefix('/').unwrap())
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// The program on this tree. `arguments` are words with spaces between them.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ghostswapctl"));
        command
            .args(arguments.split_whitespace())
            .env("GHOSTSWAP_ROOT", &self.0);
        command
    }

    pub fn run(&self, arguments: &str) -> Said {
        let output = self.command(arguments).output().unwrap();
        Said {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// It succeeds, with nothing on stderr.
    pub fn says(&self, arguments: &str) -> String {
        let said = self.run(arguments);
        assert_eq!(
            (said.status, said.err.as_str()),
            (0, ""),
            "{arguments}: {}",
            said.out
        );
        said.out
    }

    /// It fails with these two lines, the second of which is the remedy.
    pub fn refuses(&self, arguments: &str, what: &str, remedy: &str) {
        let said = self.run(arguments);
        assert_eq!(said.err, format!("ghostswapctl: {what}\n  {remedy}\n"));
        assert_eq!((said.status, said.out.as_str()), (1, ""), "{arguments}");
    }

    /// A check finds this, and says that not all is well.
    pub fn finds(&self, text: &str, remedy: &str) {
        let said = self.run("check");
        let finding = format!("NOT OK  {text}\n          {remedy}");
        assert!(
            said.out.contains(&finding),
            "no {finding}\nin\n{}",
            said.out
        );
        assert_eq!((said.status, said.err.as_str()), (1, ""));
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub const POOL: &str = "/sys/fs/ghostswap/0:53";

/// A pool with a store, which fstab has, too.
pub fn store() -> Tree {
    Tree::recorded("store")
}

/// A pool without one.
pub fn plain() -> Tree {
    Tree::recorded("plain")
}

/// What setup writes for `/swap.ghost`.
pub const FSTAB: &str = "\
# Made by \"ghostswapctl setup\", which takes it back with --undo: /swap.ghost
/swap.ghost  /swap.ghost  ghostswap  backing=/dev/loop0,nofail  0  0
/swap.ghost  none  swap  pri=100,nofail  0  0
";

/// A machine on which nothing is set up.
pub fn bare() -> Tree {
    plain()
        .without("/sys/fs/ghostswap")
        .with("/proc/self/mountinfo", "")
        .with(
            "/proc/swaps",
            "Filename Type Size Used Priority\n/dev/sdb1 partition 1024 0 100\n",
        )
        .with("/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n")
}
