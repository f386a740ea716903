// SPDX-License-Identifier: GPL-2.0

//! top in a terminal, which must be as it was when it ends, however it ends.

use crate::tree::store;
use rustix::{
    event::{
        poll,
        PollFd,
        PollFlags,
        Timespec, //
    },
    fs::OFlags,
    process::{
        kill_process,
        Pid,
        Signal, //
    },
    pty::{
        grantpt,
        openpt,
        ptsname,
        unlockpt,
        OpenptFlags, //
    },
    termios::{
        tcgetattr,
        LocalModes, //
    },
};
use std::{
    ffi::OsStr,
    fs::File,
    io::{
        Read,
        Write, //
    },
    os::unix::{
        ffi::OsStrExt,
        fs::OpenOptionsExt, //
    },
    process::Child, //
};

/// A terminal is shown by what holds the other end of it.
fn terminal() -> (File, File) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&shown).unwrap();
    unlockpt(&shown).unwrap();
    let name = ptsname(&shown, Vec::new()).unwrap();
    let name = OsStr::from_bytes(name.as_bytes());
    // It must not end this process when it goes.
    let flags = OFlags::NOCTTY.bits() as i32;
    let mut options = File::options();
    let terminal = options
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(name)
        .unwrap();
    (shown.into(), terminal)
}

/// What is shown, up to `end` or until the terminal has no more users.
fn shown_until(shown: &mut File, end: &str) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if !end.is_empty() && text.contains(end) {
            return text.into_owned();
        }
        let soon = Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(shown, PollFlags::IN)], Some(&soon)).unwrap();
        assert!(ready > 0, "no more than this: {text}");
        let mut more = [0; 4096];
        match shown.read(&mut more) {
            Ok(length @ 1..) => bytes.extend(&more[..length]),
            // The last user has closed it.
            _ => return text.into_owned(),
        }
    }
}

/// The terminal is as it was after top was made to end.
fn restores_the_terminal(end: impl FnOnce(&Child, &mut File)) {
    let tree = store();
    let (mut shown, terminal) = terminal();
    let before = tcgetattr(&terminal).unwrap().local_modes;
    let mut command = tree.command("top");
    command.stdin(terminal.try_clone().unwrap());
    command.stdout(terminal.try_clone().unwrap());
    let mut top = command.spawn().unwrap();
    // It has files of the terminal, too.
    drop(command);
    let text = shown_until(&mut shown, "q quits");
    assert!(text.starts_with("\x1b[?1049h\x1b[?25l"), "{text}");
    assert!(text.contains("Pool /swap.ghost, wlz\r\n"), "{text}");
    let while_shown = tcgetattr(&terminal).unwrap().local_modes;
    assert_eq!(
        before - while_shown,
        LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG
    );
    end(&top, &mut shown);
    assert!(top.wait().unwrap().success());
    assert_eq!(tcgetattr(&terminal).unwrap().local_modes, before);
    drop(terminal);
    let text = shown_until(&mut shown, "");
    assert!(text.ends_with("\x1b[?25h\x1b[?1049l"), "{text}");
}

#[test]
fn a_signal_ends_it_and_restores_the_terminal() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        restores_the_terminal(|top, _| kill_process(Pid::from_child(top), signal).unwrap());
    }
}

#[test]
fn a_key_ends_it_and_restores_the_terminal() {
    for key in [b"q", b"Q", b"\x03"] {
        restores_the_terminal(|_, shown| shown.write_all(key).unwrap());
    }
}
