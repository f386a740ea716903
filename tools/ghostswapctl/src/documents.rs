// SPDX-License-Identifier: GPL-2.0

//! Man pages and completions for shells, made of what `--help` is made of.

use crate::{
    cli::Cli,
    failure::{
        Failure,
        Result, //
    },
};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use std::{
    fs,
    io,
    path::Path, //
};

/// The section of the manual: for those that administer.
const SECTION: &str = "8";

/// Writes them below `directory`: `man/*.8`, and `completions/*`.
pub fn write(directory: &Path) -> Result {
    write_all(directory).map_err(|error| {
        Failure::new(
            format!("{}: {error}", directory.display()),
            "Name a directory that can be written.",
        )
    })
}

fn write_all(directory: &Path) -> io::Result<()> {
    let mut command = Cli::command();
    let man = directory.join("man");
    fs::create_dir_all(&man)?;
    // So that the commands know their full names.
    command.build();
    write_page(&man, &command)?;
    for order in command
        .get_subcommands()
        .filter(|order| !order.is_hide_set())
    {
        if order.get_name() != "help" {
            write_page(&man, order)?;
        }
    }
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "ghostswapctl", &completions)?;
    }
    Ok(())
}

fn write_page(directory: &Path, command: &clap::Command) -> io::Result<()> {
    let page = Man::new(command.clone()).section(SECTION);
    let mut text = Vec::new();
    page.render(&mut text)?;
    fs::write(directory.join(page.get_filename()), text)
}
