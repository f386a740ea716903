// SPDX-License-Identifier: GPL-2.0

//! `/etc/fstab`: what its lines say, and lines of our own in it.
//!
//! Nothing else in it is changed by a byte. Our lines follow a comment that names their ghost file, and
//! that is how they are known again.

use crate::{
    mounts::{
        escape,
        unescape, //
    },
    root::Root,
};
use rustix::fs::{
    fchown,
    Gid,
    Uid, //
};
use std::{
    fs::{
        self,
        File,
        OpenOptions,
        Permissions, //
    },
    io::{
        self,
        Write, //
    },
    os::unix::fs::{
        MetadataExt,
        OpenOptionsExt,
        PermissionsExt, //
    },
    path::{
        Path,
        PathBuf, //
    },
};

/// Where it is.
const FSTAB: &str = "/etc/fstab";

/// The comment before lines of ours, up to the path of the ghost file.
const MARK: &str = "# Made by \"ghostswapctl setup\", which takes it back with --undo: ";

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub source: String,
    pub target: String,
    /// The type of the filesystem, or `swap`.
    pub kind: String,
    pub options: Vec<String>,
}

impl Line {
    fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let mut words = text.split_ascii_whitespace();
        let mut word = || words.next().map(unescape);
        let source = word().filter(|source| !source.starts_with('#'))?;
        Some(Self {
            source: device(source),
            target: word()?,
            kind: word()?,
            options: word()
                .unwrap_or_default()
                .split(',')
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Returns whether it makes `store` a backing store.
    pub fn has_store(&self, root: &Root, store: &str) -> bool {
        let mut paths = self
            .options
            .iter()
            .filter_map(|option| option.strip_prefix("backing="));
        paths.any(|path| root.is_same(path, store))
    }

    /// Returns whether it mounts the ghost file `path`.
    pub fn mounts(&self, path: &str) -> bool {
        self.kind == "ghostswap" && self.target == path
    }

    /// Returns whether it swaps `path` on.
    pub fn swaps_on(&self, path: &str) -> bool {
        self.kind == "swap" && self.source == path
    }

    /// Returns whether it does either.
    fn is_of(&self, path: &str) -> bool {
        self.mounts(path) || self.swaps_on(path)
    }
}

/// The device that the first word of a line names: `UUID=...` is a link that udev makes.
fn device(source: String) -> String {
    let tags = [
        ("UUID=", "uuid"),
        ("LABEL=", "label"),
        ("PARTUUID=", "partuuid"),
        ("PARTLABEL=", "partlabel"),
    ];
    let named = tags.iter().find_map(|(tag, by)| {
        let value = source.strip_prefix(tag)?.trim_matches('"');
        Some(format!("/dev/disk/by-{by}/{value}"))
    });
    named.unwrap_or(source)
}

/// The content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fstab(Vec<u8>);

impl Fstab {
    /// That of the system; where there is none, an empty one.
    pub fn read(root: &Root) -> io::Result<Self> {
        match fs::read(root.path(FSTAB)) {
            Ok(content) => Ok(Self(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// What its lines say, except comments.
    pub fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        self.pieces().into_iter().filter_map(Line::parse)
    }

    /// The ghost files of which there are lines of ours.
    pub fn marked(&self) -> Vec<String> {
        (self.pieces().into_iter().filter_map(marked)).collect()
    }

    /// What is between newlines: so the last piece is empty, unless the last line has no end.
    fn pieces(&self) -> Vec<&[u8]> {
        self.0.split(|byte| *byte == b'\n').collect()
    }

    fn of_pieces(pieces: &[&[u8]]) -> Self {
        Self(pieces.join(&b'\n'))
    }

    /// The lines that [`Self::with`] adds.
    pub fn added(&self, path: &str, lines: &[String]) -> Vec<String> {
        self.added_by(&self.with(path, lines))
    }

    /// The lines that `other` has, and this one has not.
    pub fn added_by(&self, other: &Self) -> Vec<String> {
        let own = self.pieces();
        let added = other
            .pieces()
            .into_iter()
            .filter(|piece| !own.contains(piece));
        added
            .map(|piece| String::from_utf8_lossy(piece).into_owned())
            .collect()
    }

    /// With lines of ours for the ghost file `path` at the end.
    pub fn with(&self, path: &str, lines: &[String]) -> Self {
        let mark = format!("{MARK}{}", escape(path));
        let own = [&mark].into_iter().chain(lines).map(|line| line.as_bytes());
        let mut pieces = self.pieces();
        let has_end = pieces.last().is_some_and(|piece| piece.is_empty());
        let end = pieces.len() - usize::from(has_end);
        pieces.splice(end..end, own);
        Self::of_pieces(&pieces)
    }

    /// Without the lines of ours for the ghost file `path`, as it was before [`Self::with`]. Lines that
    /// came between them stay.
    pub fn without(&self, path: &str) -> Self {
        let pieces = self.pieces();
        let mut left = Vec::with_capacity(pieces.len());
        let mut own = 0;
        for piece in pieces {
            if marked(piece).as_deref() == Some(path) {
                own = 2;
            } else if own > 0 && Line::parse(piece).is_some_and(|line| line.is_of(path)) {
                own -= 1;
            } else {
                left.push(piece);
            }
        }
        Self::of_pieces(&left)
    }

    /// Replaces the system's, which is `before` as of when it was read. A reader sees the one or the
    /// other, whole, whatever happens. Mode and owner stay.
    pub fn replace(&self, before: &Self, root: &Root) -> io::Result<()> {
        let named = root.path(FSTAB);
        // A link stays one.
        let file = fs::canonicalize(&named).unwrap_or(named);
        let temporary = Temporary::new(&file)?;
        let mut out = &temporary.file;
        match fs::metadata(&file) {
            Ok(old) => {
                let (user, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
                fchown(out, Some(user), Some(group))?;
                out.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                out.set_permissions(Permissions::from_mode(0o644))?;
            }
            Err(error) => return Err(error),
        }
        out.write_all(&self.0)?;
        out.sync_all()?;
        if Self::read(root)? != *before {
            return Err(io::Error::other("another program has changed it meanwhile"));
        }
        temporary.rename(&file)
    }
}

/// The ghost file that a comment of ours names.
fn marked(piece: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(piece).ok()?;
    Some(unescape(text.strip_prefix(MARK)?.trim_end()))
}

/// A file beside another one, which is to replace it. It goes unless it does.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn new(beside: &Path) -> io::Result<Self> {
        let mut path = beside.as_os_str().to_owned();
        path.push(format!(".ghostswapctl.{}", std::process::id()));
        let path = PathBuf::from(path);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Self { path, file })
    }

    fn rename(self, over: &Path) -> io::Result<()> {
        fs::rename(&self.path, over)?;
        // So that the name is on the disk, too.
        File::open(over.parent().unwrap_or(Path::new("/")))?.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is none of this name.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/my swap.ghost";

    fn own() -> Vec<String> {
        vec![
            "/my\\040swap.ghost /my\\040swap.ghost ghostswap nofail 0 0".to_owned(),
            "/my\\040swap.ghost none swap pri=100 0 0".to_owned(),
        ]
    }

    fn fstab(content: &[u8]) -> Fstab {
        Fstab(content.to_vec())
    }

    #[test]
    fn a_device_may_be_named_by_a_tag() {
        let line = Line::parse(b"UUID=\"12-34\" none swap sw 0 0").unwrap();
        assert_eq!(line.source, "/dev/disk/by-uuid/12-34");
        let line = Line::parse(b"PARTLABEL=swap none swap sw 0 0").unwrap();
        assert_eq!(line.source, "/dev/disk/by-partlabel/swap");
    }

    #[test]
    fn what_was_there_is_there_again() {
        for content in [
            b"" as &[u8],
            b"\n",
            b"/dev/sda / ext4 defaults 0 1\n",
            b"/dev/sda / ext4 defaults 0 1",
            b"# no line\n\n\n",
            b"\xff not text \xfe\n/swap none swap sw 0 0",
            b"/my\\040swap.ghost.2 none swap sw 0 0\n",
        ] {
            let before = fstab(content);
            let with = before.with(PATH, &own());
            assert_eq!(with.marked(), [PATH]);
            assert_eq!(with.lines().filter(|line| line.is_of(PATH)).count(), 2);
            assert!(with.0.starts_with(content) || content.is_empty());
            let after = with.without(PATH);
            assert_eq!(after, before, "{:?}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn two_ghost_files_are_told_apart() {
        let one = fstab(b"a b c d\n").with(PATH, &own());
        let lines = own()
            .iter()
            .map(|line| line.replace("my", "your"))
            .collect::<Vec<_>>();
        let two = one.with("/your swap.ghost", &lines);
        assert_eq!(two.marked().len(), 2);
        assert_eq!(two.without("/your swap.ghost"), one);
        assert_eq!(
            two.without(PATH),
            fstab(b"a b c d\n").with("/your swap.ghost", &lines)
        );
    }

    #[test]
    fn what_came_between_stays() {
        let with = fstab(b"").with(PATH, &own());
        let text = String::from_utf8(with.0).unwrap();
        let text = text.replace("0 0\n", "0 0\n/dev/sdb /data ext4 defaults 0 2\n");
        assert_eq!(
            fstab(text.as_bytes()).without(PATH),
            fstab(b"/dev/sdb /data ext4 defaults 0 2\n/dev/sdb /data ext4 defaults 0 2\n")
        );
        // A line of another sort that took the place of ours stays, too.
        let other = fstab(format!("{MARK}/x\n# /x none swap sw 0 0\n").as_bytes());
        assert_eq!(other.without("/x"), fstab(b"# /x none swap sw 0 0\n"));
    }

    #[test]
    fn lines_without_a_mark_are_not_ours() {
        let hand = fstab(b"/swap.ghost /swap.ghost ghostswap limit=30% 0 0\n");
        assert_eq!(hand.without("/swap.ghost"), hand);
        assert!(hand.marked().is_empty());
        let line = hand.lines().next().unwrap();
        assert!(line.is_of("/swap.ghost"));
        assert_eq!(line.options, ["limit=30%"]);
    }
}
