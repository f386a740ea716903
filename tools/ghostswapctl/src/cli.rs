// SPDX-License-Identifier: GPL-2.0

//! What can be typed, and the help for it, of which man pages and completions are made.

use crate::{
    fit,
    orders::Amount,
    setup,
    words::parse_time, //
};
use clap::{
    value_parser,
    Args,
    Parser,
    Subcommand,
    ValueHint, //
};
use ghostswap_core::limit::Limit;
use std::path::PathBuf;

/// Shows what ghostswap holds, gives orders, sets it up, and says what is wrong.
#[derive(Parser)]
#[command(
    name = "ghostswapctl",
    bin_name = "ghostswapctl",
    arg_required_else_help = true
)]
#[command(after_help = "Sizes are shown in powers of 1,024. A page has 4,096 bytes.")]
pub struct Cli {
    #[command(subcommand)]
    pub order: Order,
}

#[derive(Subcommand)]
pub enum Order {
    /// Show what each pool holds, where it is, and what it did.
    Status(Status),
    /// Show what pools do, live, with what they did before.
    Top(Top),
    /// Print what status shows as metrics for Prometheus, in its text format.
    Metrics(Metrics),
    /// Make a ghost file and swap it on, now and at each boot. Asks nothing.
    Setup(Setup),
    /// Swap further ghost files on, or empty ones off, so that swap space is what can be held.
    Fit(Fit),
    /// Make a swapfile or partition a backing store, now and at each boot.
    AddStore(StoreOrder),
    /// Move all that is in a backing store elsewhere, and give it back, for good. Shows how far that is.
    RemoveStore(StoreOrder),
    /// Write pages to the backing stores, the coldest first, and wait for that.
    Writeback(Writeback),
    /// Write the pages to the backing stores that were stored long ago, and wait for that.
    Age(Age),
    /// Have the second compressor make the pages in RAM smaller that were stored long ago, and wait for that.
    Recompress(Age),
    /// Look for what keeps ghostswap from working. The status is 0 if all is well, else 1.
    Check,
    /// Estimate what the memory of running programs would take, with each compressor.
    Estimate(Estimate),
    /// Write man pages and completions for shells into a directory.
    #[command(hide = true)]
    Documents {
        /// The directory.
        directory: PathBuf,
    },
}

#[derive(Args)]
pub struct Status {
    /// Print JSON. Numbers have their names in sysfs, which the ABI document describes; what
    /// only root may read is null for others.
    #[arg(long)]
    pub json: bool,
    /// A pool's name in sysfs, or the path of a mounted ghost file. Default: all.
    pub pool: Option<String>,
}

#[derive(Args)]
#[command(
    after_help = "The age is how long a page stays on average: what is stored, divided by what \
    goes in a second. q quits."
)]
pub struct Top {
    /// How often, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = value_parser!(u64).range(1..=86_400))]
    pub interval: u64,
    /// A pool's name in sysfs, or the path of a mounted ghost file. Default: all.
    pub pool: Option<String>,
}

/// What metrics are named after.
const METRICS: &str = "\
Metrics have the names of the files in sysfs, which the ABI document describes,
with ghostswap_ before them, or ghostswap_store_ for what a store counts. Pages
are given in bytes. What only grows ends with _total. What only root may read is
left out for others.";

#[derive(Args)]
#[command(after_help = METRICS)]
pub struct Metrics {
    /// Write them to a file, which is replaced as a whole. node_exporter reads files *.prom.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Which pool an order is for.
#[derive(Args)]
pub struct WhichPool {
    /// A pool's name in sysfs, or the path of a mounted ghost file. Default: the only one.
    #[arg(long)]
    pub pool: Option<String>,
}

#[derive(Args)]
#[command(after_long_help = setup::RULE)]
pub struct Setup {
    /// The ghost file. Default: /swap.ghost.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub file: Option<String>,
    /// The most memory that the pool takes: bytes, with K, M, G or T, or percent of RAM.
    #[arg(long, value_parser = parse_limit)]
    pub limit: Option<Limit>,
    /// The compressor, such as wlz, wlz:dense, lz4 or zstd. Default: the module's.
    #[arg(long, value_name = "NAME")]
    pub comp: Option<String>,
    /// A second compressor, for what is old, such as zstd. Default: none.
    #[arg(long, value_name = "NAME")]
    pub recomp: Option<String>,
    /// A swapfile or partition that mkswap made, for cold pages. It can be given again.
    #[arg(long = "store", value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub stores: Vec<String>,
    /// Only print what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Take back what setup and fit made, and nothing else: swap off, unmount, remove the lines of
    /// fstab and the ghost files. Without --file, all that fstab has of it.
    #[arg(long, conflicts_with_all = ["limit", "comp", "recomp", "stores"])]
    pub undo: bool,
}

#[derive(Args)]
#[command(after_help = fit::RULE)]
pub struct Fit {
    #[command(flatten)]
    pub which: WhichPool,
    /// Only print what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

/// What is read for an estimate.
const ESTIMATE: &str = "\
Without arguments, the memory of all programs is read that may be read. What
programs share is counted for each. It is the anonymous memory that is not
swapped out. To read it needs the right to trace a program; the program is not
stopped, and nothing is changed. Of more than 65,536 pages so many are read, from
all over the memory. wlz is the module's; lz4 and zstd are the libraries of this
machine.";

/// The ghost file where none is named.
pub const DEFAULT_FILE: &str = "/swap.ghost";

/// What fstab has to do with it.
const FSTAB: &str = "\
For each boot, the line of the ghost file in /etc/fstab is changed, if setup
made it. Other lines stay as they are; what to change there is said. That is
done last: give an order that was interrupted once more, and fstab follows.";

#[derive(Args)]
#[command(after_help = FSTAB)]
pub struct StoreOrder {
    /// The swapfile or partition.
    #[arg(value_hint = ValueHint::FilePath)]
    pub path: String,
    /// Leave /etc/fstab as it is.
    #[arg(long)]
    pub no_fstab: bool,
    #[command(flatten)]
    pub which: WhichPool,
}

#[derive(Args)]
pub struct Writeback {
    /// How much: all, a number of pages, or a size of pages with K, M, G or T.
    #[arg(default_value = "all", value_parser = Amount::parse)]
    pub amount: Amount,
    #[command(flatten)]
    pub which: WhichPool,
}

#[derive(Args)]
pub struct Age {
    /// How old: a number of seconds, or one with s, m, h or d.
    #[arg(value_name = "TIME", value_parser = parse_time)]
    pub seconds: u64,
    #[command(flatten)]
    pub which: WhichPool,
}

#[derive(Args)]
#[command(after_help = ESTIMATE)]
pub struct Estimate {
    /// A running program, by its process id. It can be given again.
    #[arg(short = 'p', long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// A file with pages of 4,096 bytes, in place of programs.
    #[arg(value_name = "FILE", conflicts_with = "pids", value_hint = ValueHint::FilePath)]
    pub files: Vec<String>,
}

fn parse_limit(text: &str) -> Result<Limit, String> {
    Limit::parse(text.as_bytes()).map_err(|error| error.to_string())
}
