// SPDX-License-Identifier: GPL-2.0

//! Estimates what memory would take in a pool, with each compressor, as `ghostswapctl estimate` does.

#[path = "../tools/ghostswapctl/src/estimate.rs"]
mod estimate;

use estimate::{
    Memory,
    Report, //
};
use std::{
    env,
    process::ExitCode, //
};

const USAGE: &str = "\
usage: scripts/estimate -p PID | FILE...

Estimate what memory would take in a pool of ghostswap, with each compressor. PID is a
running program, of which the anonymous memory is read that is not swapped out. That
needs the right to trace it; the program is not stopped. FILE has pages of 4,096 bytes.
Of more than 65,536 pages so many are read, from all over the memory.";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let memory = match &arguments[..] {
        [option, pid] if option == "-p" && pid.parse::<u32>().is_ok() => {
            Memory::of_program(pid.parse().unwrap_or_default())
        }
        [first, ..] if !first.starts_with('-') => Memory::of_files(&arguments),
        [first] if first == "-h" || first == "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let problem = match memory.map(|memory| Report::new(&memory)) {
        Ok(Some(report)) => {
            print!("{report}");
            return ExitCode::SUCCESS;
        }
        Ok(None) => "there are no pages to read".to_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("estimate: {}: {problem}", arguments.join(" "));
    ExitCode::FAILURE
}
