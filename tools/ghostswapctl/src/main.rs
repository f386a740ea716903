// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl`, the tool for people: it shows what pools hold, gives orders to them, sets a ghost file
//! up, and says what is wrong. It keeps nothing by itself: all it knows is in sysfs, `/proc` and fstab.

mod area;
mod boot;
mod check;
mod cli;
mod documents;
mod estimate;
mod failure;
mod fit;
mod fstab;
mod ghost_file;
mod kernel_log;
mod metrics;
mod mounts;
mod orders;
mod pools;
mod programs;
mod replacement;
mod root;
mod setup;
mod status;
mod top;
mod words;

use clap::Parser;
use cli::{
    Cli,
    Estimate,
    Order,
    Setup,
    DEFAULT_FILE, //
};
use estimate::{
    Comparison,
    Memory, //
};
use failure::Result;
use root::Root;
use std::process::ExitCode;
use words::{
    print,
    say,
    tell, //
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&Root::from_environment(), cli.order) {
        Ok(status) => status,
        Err(failure) => {
            tell!("ghostswapctl: {failure}\n");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Root, order: Order) -> Result<ExitCode> {
    let one = |pool: Option<String>| pools::one(root, pool.as_deref());
    match order {
        Order::Status(status) => {
            let pools = match status.pool {
                None => pools::all(root)?,
                name => vec![one(name)?],
            };
            print(&if status.json {
                status::json(&pools)
            } else {
                status::text(&pools)
            })?;
        }
        Order::Metrics(metrics) => {
            let pools = pools::all(root)?;
            match metrics.output {
                None => print(&metrics::text(&pools))?,
                Some(file) => metrics::write(&pools, &file)?,
            }
        }
        Order::Top(top) => top::watch(root, top.pool.as_deref(), top.interval)?,
        Order::Setup(setup) => set_up(root, setup)?,
        Order::Fit(order) => fit::fit(root, order.which.pool.as_deref(), order.dry_run)?,
        Order::AddStore(order) => {
            let pool = one(order.which.pool)?;
            let store = orders::add_store(root, &pool, &order.path)?;
            if !order.no_fstab {
                boot::add_store(root, &pool, &store)?;
            }
        }
        Order::RemoveStore(order) => {
            let pool = one(order.which.pool)?;
            // An order that was interrupted may have left it in fstab.
            let left = orders::absent(&pool, &order.path)?
                .filter(|store| !order.no_fstab && boot::has_store(root, &pool, store));
            let store = match left {
                Some(store) => {
                    say!("Pool {} does not have {store} any more.", pool.id);
                    store
                }
                None => orders::remove_store(root, &pool, &order.path)?,
            };
            if !order.no_fstab {
                boot::remove_store(root, &pool, &store)?;
            }
        }
        Order::Writeback(order) => orders::write_back(root, &one(order.which.pool)?, order.amount)?,
        Order::Recompress(order) => {
            orders::recompress(root, &one(order.which.pool)?, order.seconds)?;
        }
        Order::Age(order) => orders::age(root, &one(order.which.pool)?, order.seconds)?,
        Order::Check => {
            let report = check::check(root);
            print(&report.text())?;
            if !report.is_well() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Order::Estimate(estimate) => print(&estimate_memory(&estimate)?.to_string())?,
        Order::Documents { directory } => documents::write(&directory)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn estimate_memory(wish: &Estimate) -> Result<Comparison> {
    let memory = if !wish.files.is_empty() {
        Memory::of_files(&wish.files)
    } else if !wish.pids.is_empty() {
        Memory::of_programs(&wish.pids)
    } else {
        Memory::of_all_programs()
    };
    Comparison::new(&memory?)
}

fn set_up(root: &Root, setup: Setup) -> Result {
    if setup.undo {
        return setup::undo(root, setup.file.as_deref(), DEFAULT_FILE, setup.dry_run);
    }
    let wish = setup::Wish {
        file: setup.file.unwrap_or_else(|| DEFAULT_FILE.to_owned()),
        limit: setup.limit,
        comp: setup.comp,
        recomp: setup.recomp,
        stores: setup.stores,
    };
    setup::set_up(root, &wish, setup.dry_run)
}
