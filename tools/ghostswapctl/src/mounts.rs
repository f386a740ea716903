// SPDX-License-Identifier: GPL-2.0

//! What is mounted and swapped on, as `/proc` tells it.

use crate::root::Root;
use serde::Serialize;

/// A ghost file that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where it is mounted: the path to swap on.
    pub path: String,
    /// The ghost file, or a loop device that has it.
    pub source: String,
    /// The options in effect, escaped as in `/proc/mounts`: a comma within one is `\054`.
    pub options: String,
    /// The name of its pool in sysfs.
    pub pool: String,
    /// The swap area, if it is swapped on.
    pub swap: Option<Swap>,
}

/// A swap area, of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Swap {
    #[serde(skip)]
    pub path: String,
    /// What it has room for, in bytes.
    pub size_bytes: u64,
    /// The slots in use, in bytes.
    pub used_bytes: u64,
    /// The kernel fills the area of the highest priority first.
    pub priority: i32,
}

impl Mount {
    /// Returns whether an option is in effect.
    pub fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|other| other == option)
    }
}

/// The ghost files that are mounted, in the order of their mounting.
pub fn ghost_files(root: &Root) -> Vec<Mount> {
    let text = root.text("/proc/self/mountinfo").unwrap_or_default();
    let swaps = swaps(root);
    text.lines()
        .filter_map(|line| mount(line, &swaps))
        .collect()
}

/// `line` is as in proc_pid_mountinfo(5).
fn mount(line: &str, swaps: &[Swap]) -> Option<Mount> {
    let (place, filesystem) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(2);
    let (device, _, path) = (place.next()?, place.next()?, unescape(place.next()?));
    let mut filesystem = filesystem.split(' ');
    if filesystem.next()? != "ghostswap" {
        return None;
    }
    let source = unescape(filesystem.next()?);
    let options = filesystem.next().unwrap_or_default().to_owned();
    let pool = options
        .split(',')
        .find_map(|option| option.strip_prefix("pool="))
        .unwrap_or(device)
        .to_owned();
    let swap = swaps.iter().find(|swap| swap.path == path).cloned();
    Some(Mount {
        path,
        source,
        options,
        pool,
        swap,
    })
}

/// All that is swapped on.
pub fn swaps(root: &Root) -> Vec<Swap> {
    let text = root.text("/proc/swaps").unwrap_or_default();
    text.lines().skip(1).filter_map(swap).collect()
}

fn swap(line: &str) -> Option<Swap> {
    let mut words = line.split_whitespace();
    let path = unescape(words.next()?);
    let mut words = words.skip(1);
    let mut kib = || Some(words.next()?.parse::<u64>().ok()? << 10);
    let (size_bytes, used_bytes) = (kib()?, kib()?);
    Some(Swap {
        path,
        size_bytes,
        used_bytes,
        priority: words.next()?.parse().ok()?,
    })
}

/// Undoes what the kernel does with spaces and the like: `\040`.
pub fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = (bytes[at] == b'\\')
            .then(|| text.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        plain.push(octal.unwrap_or(bytes[at]));
        at += if octal.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Writes `text` so that it is one word, as in fstab.
pub fn escape(text: &str) -> String {
    let mut word = String::new();
    for c in text.chars() {
        match c {
            ' ' | '\t' | '\n' | '\\' | '#' => word.push_str(&format!("\\{:03o}", c as u32)),
            _ => word.push(c),
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_escaped_and_unescaped() {
        for text in ["/swap.ghost", "/a b\tc\\d#e", "", "\\", "é \\04"] {
            assert_eq!(unescape(&escape(text)), text);
        }
        assert_eq!(escape("/a b"), "/a\\040b");
        assert_eq!(unescape("/a\\"), "/a\\");
    }

    #[test]
    fn the_pool_is_the_name_or_the_device() {
        let line = "40 28 0:38 / /swap.ghost rw,relatime shared:1 - ghostswap /swap.ghost rw";
        assert_eq!(mount(line, &[]).unwrap().pool, "0:38");
        let named = format!("{line},comp=wlz,pool=web");
        assert_eq!(mount(&named, &[]).unwrap().pool, "web");
        let comma = format!("{line},backing=/x\\054pool=web,encrypt=off");
        assert_eq!(mount(&comma, &[]).unwrap().pool, "0:38");
        assert_eq!(mount("40 28 0:38 / /a rw - ext4 /dev/sda rw", &[]), None);
    }
}
