// SPDX-License-Identifier: GPL-2.0

//! What goes wrong, and what can be done about it.

use std::{
    fmt,
    io, //
};

/// Why something cannot be done, and the remedy. Both are said.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// What may fail with a remedy.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// The remedy where only root may do something.
pub const BE_ROOT: &str = "Run it as root, for instance with sudo.";

impl Failure {
    /// That `what` is wrong, and `remedy` is what to do.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.what, self.remedy)
    }
}

/// An error without its number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
