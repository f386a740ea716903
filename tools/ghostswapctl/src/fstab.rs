// SPDX-License-Identifier: GPL-2.0

//! `/etc/fstab`: what its lines say, and lines of our own in it.
//!
//! Nothing else in it is changed by a byte. Our lines follow a comment that names their ghost file, and
//! that is how they are known again.

use crate::{
    failure::{
        plain,
        Failure, //
    },
    mounts::{
        escape,
        unescape, //
    },
    replacement::Replacement,
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
        Permissions, //
    },
    io::{
        self,
        Write, //
    },
    ops::Range,
    os::unix::fs::{
        FileTypeExt,
        MetadataExt,
        PermissionsExt, //
    },
};

/// Where it is.
const FSTAB: &str = "/etc/fstab";

/// The comment before lines of ours, up to the path of the ghost file.
const MARK: &str = "# Made by \"ghostswapctl setup\", which takes it back with --undo: ";

/// The option that names a backing store.
const BACKING: &str = "backing=";

/// With either of these, systemd mounts a ghost file when what it names is there.
const REQUIRES_DEVICE: &str = "x-systemd.requires=";
const REQUIRES_MOUNTS_FOR: &str = "x-systemd.requires-mounts-for=";

/// That it cannot be changed, for `error`, and is as it was. `and` goes on from there, with the remedy.
pub fn as_it_was(error: &io::Error, and: &str) -> Failure {
    Failure::new(
        format!("{FSTAB} cannot be changed: {}", plain(error)),
        format!("It is as it was{and}"),
    )
}

/// The option that makes `store` a backing store.
pub fn backing(store: &str) -> String {
    format!("{BACKING}{store}")
}

/// The option that makes systemd wait for `store` before it mounts the ghost file.
pub fn requires(root: &Root, store: &str) -> String {
    let metadata = fs::metadata(root.path(store));
    let is_device = metadata.is_ok_and(|metadata| metadata.file_type().is_block_device());
    let option = if is_device {
        REQUIRES_DEVICE
    } else {
        REQUIRES_MOUNTS_FOR
    };
    format!("{option}{store}")
}

/// Returns whether options can name `path`: mount(8) takes a comma, or quotes, for something else.
pub fn can_name(path: &str) -> bool {
    path.starts_with('/') && !path.contains([',', '"', '\n'])
}

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

    /// The backing stores that it names.
    pub fn stores(&self) -> impl Iterator<Item = &str> {
        (self.options.iter()).filter_map(|option| option.strip_prefix(BACKING))
    }

    /// Returns whether it makes `store` a backing store.
    pub fn has_store(&self, root: &Root, store: &str) -> bool {
        self.stores().any(|path| root.is_same(path, store))
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
        let own = self.own(path).into_iter();
        let left = (self.pieces().into_iter().zip(own)).filter(|(_, is_own)| !is_own);
        Self::of_pieces(&left.map(|(piece, _)| piece).collect::<Vec<_>>())
    }

    /// Whether each piece is a line of ours for the ghost file `path`: its mark, or one of the two lines
    /// after that.
    fn own(&self, path: &str) -> Vec<bool> {
        let mut to_come = 0;
        let is_own = |piece: &[u8]| {
            if marked(piece).as_deref() == Some(path) {
                to_come = 2;
                return true;
            }
            let is_own = to_come > 0 && Line::parse(piece).is_some_and(|line| line.is_of(path));
            to_come -= usize::from(is_own);
            is_own
        };
        self.pieces().into_iter().map(is_own).collect()
    }

    /// With `store` as the last one in our line that mounts the ghost file `path`, as setup would have
    /// written it. [`None`] if there is no such line.
    pub fn with_store(&self, root: &Root, path: &str, store: &str) -> Option<Self> {
        self.with_options(path, |options| {
            let is_last = |option: &Vec<u8>| option == b"nofail" || option.starts_with(b"x-");
            let end = options.iter().position(is_last).unwrap_or(options.len());
            options.insert(end, escape(&backing(store)).into_bytes());
            options.push(escape(&requires(root, store)).into_bytes());
            true
        })
    }

    /// Without `store` in our line that mounts the ghost file `path`. [`None`] if no such line has it.
    pub fn without_store(&self, root: &Root, path: &str, store: &str) -> Option<Self> {
        self.with_options(path, |options| {
            let text = |option: &Vec<u8>| unescape(&String::from_utf8_lossy(option));
            let has = |option: &Vec<u8>| {
                let path = text(option).strip_prefix(BACKING)?.to_owned();
                root.is_same(&path, store).then_some(path)
            };
            let named: Vec<_> = options.iter().filter_map(has).collect();
            options.retain(|option| {
                let text = text(option);
                let path = [BACKING, REQUIRES_DEVICE, REQUIRES_MOUNTS_FOR]
                    .iter()
                    .find_map(|name| text.strip_prefix(name));
                !path.is_some_and(|path| named.iter().any(|named| named == path))
            });
            if options.is_empty() {
                options.push(b"defaults".to_vec());
            }
            !named.is_empty()
        })
    }

    /// With other options in our line that mounts the ghost file `path`, where `change` returns whether it
    /// changed some. Options are as they are written, so with what is escaped.
    fn with_options(
        &self,
        path: &str,
        change: impl FnOnce(&mut Vec<Vec<u8>>) -> bool,
    ) -> Option<Self> {
        let mut pieces = self.pieces();
        let own = self.own(path);
        let is_mount = |piece| Line::parse(piece).is_some_and(|line| line.mounts(path));
        let at = (0..pieces.len()).find(|at| own[*at] && is_mount(pieces[*at]))?;
        let word = options_at(pieces[at])?;
        let options = pieces[at][word.clone()].split(|byte| *byte == b',');
        let mut options = options.map(<[u8]>::to_vec).collect();
        if !change(&mut options) {
            return None;
        }
        let (before, after) = (&pieces[at][..word.start], &pieces[at][word.end..]);
        let line = [before, &options.join(&b',')[..], after].concat();
        pieces[at] = &line;
        Some(Self::of_pieces(&pieces))
    }

    /// Replaces the system's, which is `before` as of when it was read. A reader sees the one or the
    /// other, whole, whatever happens. Mode and owner stay.
    pub fn replace(&self, before: &Self, root: &Root) -> io::Result<()> {
        let named = root.path(FSTAB);
        // A link stays one.
        let file = fs::canonicalize(&named).unwrap_or(named);
        let replacement = Replacement::of(&file)?;
        let mut out = replacement.file();
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
        replacement.take_place()
    }
}

/// Where the options are in a line: the fourth word.
fn options_at(line: &[u8]) -> Option<Range<usize>> {
    let is_space = |at: &usize| line[*at].is_ascii_whitespace();
    let mut end = 0;
    let mut word = || {
        let start = (end..line.len()).find(|at| !is_space(at))?;
        end = (start..line.len()).find(is_space).unwrap_or(line.len());
        Some(start..end)
    };
    (0..3).try_for_each(|_| word().map(drop))?;
    word()
}

/// The ghost file that a comment of ours names.
fn marked(piece: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(piece).ok()?;
    Some(unescape(text.strip_prefix(MARK)?.trim_end()))
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
    fn a_store_comes_and_goes() {
        let root = Root::from_environment();
        for (before, after) in [
            ("nofail", "backing=/a\\040b,nofail,{}"),
            ("defaults", "defaults,backing=/a\\040b,{}"),
            (
                "comp=zstd,backing=/c,nofail,x-systemd.requires-mounts-for=/c",
                "comp=zstd,backing=/c,backing=/a\\040b,nofail,x-systemd.requires-mounts-for=/c,{}",
            ),
        ] {
            let after = after.replace("{}", "x-systemd.requires-mounts-for=/a\\040b");
            let text = |options: &str| {
                let path = "/my\\040swap.ghost";
                let lines = [
                    format!(" {path}\t{path}  ghostswap {options}\t0 0 # mine"),
                    format!("{path} none swap pri=100 0 0"),
                ];
                fstab(b"\xff\n/x /x ghostswap backing=/q 0 0\n").with(PATH, &lines)
            };
            let with = text(before).with_store(&root, PATH, "/a b").unwrap();
            assert_eq!(with, text(&after));
            assert_eq!(
                with.without_store(&root, PATH, "/a b").unwrap(),
                text(before)
            );
            assert_eq!(with.without_store(&root, PATH, "/q"), None);
            assert_eq!(with.without_store(&root, "/x", "/q"), None);
            assert_eq!(with.with_store(&root, "/x", "/a"), None);
        }
        let only = own()[0].replace("nofail", "backing=/a");
        let left = fstab(b"").with(PATH, &[only]);
        let left = left.without_store(&root, PATH, "/a").unwrap();
        let line = left.lines().next().unwrap();
        assert_eq!(line.options, ["defaults"]);
        // Of a line without options.
        let short = fstab(b"").with(PATH, &[own()[0].replace(" nofail 0 0", "")]);
        assert_eq!(short.with_store(&root, PATH, "/a"), None);
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
