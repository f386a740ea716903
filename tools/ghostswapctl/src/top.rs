// SPDX-License-Identifier: GPL-2.0

//! `ghostswapctl top`: what pools do, live, with what they did before beside it.

use crate::{
    failure::{
        plain,
        Failure,
        Result, //
    },
    pools::{
        self,
        Pool,
        StoreNumbers,
        PAGE, //
    },
    root::Root,
    words::{
        count,
        percent,
        size,
        time, //
    },
};
use rustix::{
    event::{
        poll,
        PollFd,
        PollFlags,
        Timespec, //
    },
    termios::{
        self,
        LocalModes,
        OptionalActions,
        Termios, //
    },
};
use signal_hook::{
    consts::{
        SIGHUP,
        SIGINT,
        SIGTERM, //
    },
    flag, //
};
use std::{
    collections::{
        BTreeMap,
        VecDeque, //
    },
    io::{
        self,
        IsTerminal,
        Read,
        Write, //
    },
    sync::{
        atomic::{
            AtomicBool,
            Ordering, //
        },
        Arc, //
    },
    time::{
        Duration,
        Instant, //
    },
};

/// What was before is kept for so many intervals: no terminal is wider.
const KEPT: usize = 512;

/// The columns before a sparkline: name, rate, the most there was.
const BEFORE: usize = 48;

/// A pool at some time.
struct Sample {
    at: Instant,
    pool: Pool,
}

/// What a pool did in one interval, per second.
#[derive(Clone, Copy, Default)]
struct Rates {
    out: f64,
    into: f64,
    from_disk: f64,
    written: f64,
    cleaned: f64,
    refused: f64,
    freed: f64,
}

/// One of the rates.
type Rate = fn(&Rates) -> f64;

impl Rates {
    fn between(old: &Sample, new: &Sample) -> Self {
        let seconds = new.at.duration_since(old.at).as_secs_f64().max(0.001);
        let (before, after) = (&old.pool, &new.pool);
        // Counters of stores go with the stores, so these may shrink.
        let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
        let pages = |of: fn(&Pool) -> u64| rate(of(before), of(after)) * PAGE as f64;
        let bytes = |of: fn(&StoreNumbers) -> u64| {
            let sum = |pool: &Pool| pool.backing.iter().map(|store| of(&store.numbers)).sum();
            rate(sum(before), sum(after))
        };
        let refused =
            |pool: &Pool| pool.numbers.failed_stores_limit + pool.numbers.failed_stores_memory;
        Self {
            out: pages(|pool| pool.numbers.stores),
            into: pages(|pool| pool.numbers.loads),
            from_disk: bytes(|store| store.read_bytes),
            written: bytes(|store| store.written_bytes),
            cleaned: bytes(|store| store.cleaned_bytes),
            refused: rate(refused(before), refused(after)),
            freed: pages(|pool| pool.numbers.invalidates),
        }
    }
}

/// A pool, and what it did.
struct Watched {
    last: Sample,
    rates: VecDeque<Rates>,
}

/// All pools that are there.
#[derive(Default)]
struct Watch(BTreeMap<String, Watched>);

impl Watch {
    /// Takes the pools as they are at some time. Those that are gone are forgotten.
    fn take(&mut self, pools: Vec<Pool>, at: Instant) {
        self.0
            .retain(|id, _| pools.iter().any(|pool| pool.id == *id));
        for pool in pools {
            let id = pool.id.clone();
            let sample = Sample { at, pool };
            match self.0.get_mut(&id) {
                // One of the same name may have come in its place.
                Some(watched) if watched.last.pool.numbers.stores <= sample.pool.numbers.stores => {
                    watched
                        .rates
                        .push_back(Rates::between(&watched.last, &sample));
                    if watched.rates.len() > KEPT {
                        watched.rates.pop_front();
                    }
                    watched.last = sample;
                }
                _ => {
                    let rates = VecDeque::new();
                    self.0.insert(
                        id,
                        Watched {
                            last: sample,
                            rates,
                        },
                    );
                }
            }
        }
    }

    /// What fits into a terminal of so many columns and rows.
    fn frame(&self, columns: usize, rows: usize) -> String {
        let mut lines = Vec::new();
        for watched in self.0.values() {
            watched.lines(columns, &mut lines);
            lines.push(String::new());
        }
        if self.0.is_empty() {
            lines.push("No ghost file is mounted; \"ghostswapctl setup\" makes one.".to_owned());
            lines.push(String::new());
        }
        lines.truncate(rows.saturating_sub(1));
        lines.push("q quits".to_owned());
        let cut = |line: String| line.chars().take(columns).collect::<String>();
        lines.into_iter().map(cut).collect::<Vec<_>>().join("\n")
    }
}

impl Watched {
    fn lines(&self, columns: usize, lines: &mut Vec<String>) {
        let pool = &self.last.pool;
        let (numbers, derived) = (&pool.numbers, &pool.derived);
        lines.push(format!("Pool {}, {}", pool.name(), pool.comp));
        let ratio = derived
            .ratio
            .map_or(String::new(), |ratio| format!(", {ratio:.1} times smaller"));
        lines.push(format!(
            "  stored      {:>9}    in RAM {}{ratio}; on disk {}",
            size(numbers.stored_pages * PAGE),
            size(derived.ram_pages * PAGE),
            size(numbers.redirected_pages * PAGE),
        ));
        let used = derived.held_bytes as f64 / numbers.limit_bytes.max(1) as f64;
        lines.push(format!(
            "  limit used  {:>9}    {}",
            percent(used),
            bar(used, columns.saturating_sub(BEFORE).clamp(10, 40)),
        ));
        let now = self.rates.back().copied().unwrap_or_default();
        let rows: [(&str, Rate); 4] = [
            ("out", |rates| rates.out),
            ("in", |rates| rates.into),
            ("from disk", |rates| rates.from_disk),
            ("written", |rates| rates.written),
        ];
        let has_disk = !pool.backing.is_empty();
        for (name, of) in rows.into_iter().take(if has_disk { 4 } else { 2 }) {
            // Of what is shown, so that the number is that of the full height.
            let shown = columns.saturating_sub(BEFORE).max(1);
            let before = self.rates.len().saturating_sub(shown);
            let values: Vec<_> = self.rates.iter().skip(before).map(of).collect();
            let most = values.iter().copied().fold(0.0, f64::max);
            lines.push(format!(
                "  {name:10}  {:>9}/s  at most {:>9}/s  {}",
                size(of(&now) as u64),
                size(most as u64),
                sparkline(&values, most),
            ));
        }
        lines.push(format!(
            "  age         {:>9}    {}",
            self.age(),
            "how long a page stays, on average"
        ));
        lines.push(format!(
            "  refused     {:>9}    {} so far",
            format!("{:.0}/s", now.refused),
            count(numbers.failed_stores_limit + numbers.failed_stores_memory)
        ));
        if has_disk {
            lines.push(format!("  worker      {}", worker(pool, &now)));
        }
    }

    /// How long a page stays: what is stored, divided by what goes in a second.
    fn age(&self) -> String {
        let freed: f64 = self.rates.iter().map(|rates| rates.freed).sum();
        let stored = (self.last.pool.numbers.stored_pages * PAGE) as f64;
        if freed > 0.0 {
            time((stored / (freed / self.rates.len() as f64)) as u64)
        } else {
            "-".to_owned()
        }
    }
}

/// What the mover does, as far as counters tell.
fn worker(pool: &Pool, now: &Rates) -> String {
    let mut does = Vec::new();
    for store in pool.backing.iter().filter(|store| store.state != "open") {
        does.push(match store.state.as_str() {
            "removing" => format!(
                "moves {} out of {}",
                size(store.numbers.used_bytes),
                store.path
            ),
            state => format!("{} is {}", store.path, state.replace('_', " ")),
        });
    }
    if now.cleaned > 0.0 {
        does.push(format!("cleans, {}/s", size(now.cleaned as u64)));
    }
    if now.written > now.cleaned {
        does.push("writes pages".to_owned());
    }
    if does.is_empty() {
        does.push("idle".to_owned());
    }
    does.join("; ")
}

/// A column for each of `values`, of which `most` has the full height.
fn sparkline(values: &[f64], most: f64) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = |value: &f64| {
        if *value <= 0.0 {
            ' '
        } else {
            let part = (value / most * HEIGHTS.len() as f64).ceil() as usize;
            HEIGHTS[part.clamp(1, HEIGHTS.len()) - 1]
        }
    };
    values.iter().map(height).collect()
}

/// Prints a frame over what the screen shows. Each line is cleared before it is printed: after its last
/// column was printed, the cursor is still there, and what clears from the cursor would clear that column.
fn over_the_last(frame: &str) -> String {
    const CLEAR_LINE: &str = "\x1b[K";
    const CLEAR_ALL_BELOW: &str = "\x1b[J";
    let (above, last) = match frame.rsplit_once('\n') {
        Some((above, last)) => {
            let cleared = above.replace('\n', &format!("\n{CLEAR_LINE}"));
            (format!("{CLEAR_LINE}{cleared}\n"), last)
        }
        None => (String::new(), frame),
    };
    format!("\x1b[H{above}{CLEAR_ALL_BELOW}{last}")
}

/// A bar of so many columns, full as far as `share` is of 1.
fn bar(share: f64, columns: usize) -> String {
    let full = ((share.clamp(0.0, 1.0) * columns as f64).round() as usize).min(columns);
    format!("[{}{}]", "#".repeat(full), " ".repeat(columns - full))
}

/// The terminal, which gives keys one by one and shows a screen of ours, until this is dropped.
struct Terminal {
    before: Termios,
    /// Whether a signal came that ends programs. It would leave the terminal as it is.
    is_told_to_end: Arc<AtomicBool>,
}

impl Terminal {
    fn new() -> Result<Self> {
        let no_terminal = |what: String| {
            Failure::new(
                what,
                "Run it in a terminal; \"ghostswapctl status\" prints what is now.",
            )
        };
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(no_terminal("top needs a terminal".to_owned()));
        }
        let set = || {
            let before = termios::tcgetattr(io::stdin())?;
            let mut mode = before.clone();
            // Nor signals: what is typed ends this, and then the terminal is as it was.
            mode.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            termios::tcsetattr(io::stdin(), OptionalActions::Flush, &mode)?;
            Ok::<_, io::Error>(before)
        };
        let is_told_to_end = Arc::new(AtomicBool::new(false));
        let before = [SIGTERM, SIGINT, SIGHUP]
            .into_iter()
            .try_for_each(|signal| flag::register(signal, is_told_to_end.clone()).map(drop))
            .and_then(|()| set())
            .map_err(|error| no_terminal(format!("the terminal: {}", plain(&error))))?;
        let terminal = Self {
            before,
            is_told_to_end,
        };
        // The other screen, without a cursor.
        terminal.print("\x1b[?1049h\x1b[?25l");
        Ok(terminal)
    }

    /// It may be gone, which reading it tells.
    fn print(&self, text: &str) {
        let mut out = io::stdout();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Columns and rows.
    fn size(&self) -> (usize, usize) {
        match termios::tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }

    /// Waits for so long. Returns whether a key for the end was typed meanwhile, a signal for it came, or the
    /// terminal is gone.
    fn is_over_within(&self, wait: Duration) -> bool {
        const CONTROL_C: u8 = 3;
        let end = Instant::now() + wait;
        loop {
            if self.is_told_to_end.load(Ordering::Relaxed) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            };
            let stdin = io::stdin();
            let mut polled = [PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut polled, Some(&left)) {
                Ok(0) => return false,
                // A signal for the end, or the window has another size.
                Err(rustix::io::Errno::INTR) => return self.is_told_to_end.load(Ordering::Relaxed),
                Err(_) => return true,
                Ok(_) => (),
            }
            let mut keys = [0; 64];
            match io::stdin().read(&mut keys) {
                Ok(0) | Err(_) => return true,
                Ok(length)
                    if keys[..length]
                        .iter()
                        .any(|key| matches!(*key, b'q' | b'Q' | CONTROL_C)) =>
                {
                    return true
                }
                Ok(_) => (),
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.print("\x1b[?25h\x1b[?1049l");
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Shows the pools, or the one of that name, until q is typed.
pub fn watch(root: &Root, name: Option<&str>, seconds: u64) -> Result {
    let read = || match name {
        None => pools::all(root),
        name => pools::one(root, name).map(|pool| vec![pool]),
    };
    let mut watch = Watch::default();
    watch.take(read()?, Instant::now());
    let terminal = Terminal::new()?;
    loop {
        let (columns, rows) = terminal.size();
        terminal.print(&over_the_last(&watch.frame(columns, rows)));
        if terminal.is_over_within(Duration::from_secs(seconds.max(1))) {
            return Ok(());
        }
        watch.take(read()?, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pools::{
        Derived,
        PoolNumbers,
        Store, //
    };

    fn pool(stores: u64, written: u64) -> Pool {
        Pool {
            id: "web".to_owned(),
            comp: "wlz".to_owned(),
            recomp: "off".to_owned(),
            numbers: PoolNumbers {
                limit_bytes: 64 << 20,
                stored_pages: 2560,
                stores,
                invalidates: stores - 2560,
                ..PoolNumbers::default()
            },
            ram_load_nsecs: Default::default(),
            store_load_nsecs: Default::default(),
            derived: Derived {
                ram_pages: 2560,
                held_bytes: 16 << 20,
                ratio: Some(2.5),
                ..Derived::default()
            },
            mounts: Vec::new(),
            backing: vec![Store {
                number: 0,
                path: "/dev/sdb".to_owned(),
                state: "open".to_owned(),
                cipher: "aes-gcm".to_owned(),
                numbers: StoreNumbers {
                    written_bytes: written,
                    ..StoreNumbers::default()
                },
            }],
        }
    }

    #[test]
    fn the_newest_value_is_the_last_in_a_line() {
        let mut watch = Watch::default();
        let start = Instant::now();
        for second in 0..60 {
            let out = second + if second == 59 { 4096 } else { 0 };
            watch.take(
                vec![pool(2560 + out, 0)],
                start + Duration::from_secs(second),
            );
        }
        let frame = watch.frame(80, 24);
        let out = frame
            .lines()
            .find(|line| line.starts_with("  out"))
            .unwrap();
        assert_eq!(out.chars().count(), 80);
        assert!(out.ends_with("▁▁█"), "{out}");
    }

    #[test]
    fn a_frame_shows_rates_and_what_was_before() {
        let mut watch = Watch::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        watch.take(vec![pool(2560, 0)], start);
        watch.take(vec![pool(2560 + 256, 0)], after(1));
        watch.take(vec![pool(2560 + 256 + 512, 4 << 20)], after(2));
        let frame = watch.frame(80, 24);
        let has = |text: &str| assert!(frame.contains(text), "no {text:?} in\n{frame}");
        has("Pool web, wlz\n");
        has("stored       10.0 MiB    in RAM 10.0 MiB, 2.5 times smaller; on disk 0 bytes");
        has("limit used      25.0%    [########  ");
        has("out           2.0 MiB/s  at most   2.0 MiB/s  ▄█\n");
        has("in            0 bytes/s  at most   0 bytes/s");
        has("written       4.0 MiB/s  at most   4.0 MiB/s   █\n");
        // 10 MiB are stored, and 1.5 MiB go in a second.
        has("age               6 s");
        has("worker      writes pages\n");
        assert!(frame.lines().all(|line| line.chars().count() <= 80));
        assert_eq!(watch.frame(20, 4).lines().count(), 4);
        watch.take(Vec::new(), after(3));
        assert!(watch.frame(80, 24).starts_with("No ghost file is mounted"));
    }

    #[test]
    fn a_pool_that_came_anew_has_no_past() {
        let mut watch = Watch::default();
        let start = Instant::now();
        watch.take(vec![pool(5000, 0)], start);
        watch.take(vec![pool(2560, 0)], start + Duration::from_secs(1));
        assert!(watch.0["web"].rates.is_empty());
    }

    #[test]
    fn the_most_is_that_of_the_sparkline() {
        let mut watch = Watch::default();
        let start = Instant::now();
        // Much in the first second, and then 1 MiB in each.
        for second in 0..60 {
            let out = 2560 + if second > 0 { 4096 + 256 * second } else { 0 };
            watch.take(vec![pool(out, 0)], start + Duration::from_secs(second));
        }
        let out = |columns| {
            let frame = watch.frame(columns, 24);
            let line = frame.lines().find(|line| line.starts_with("  out"));
            line.unwrap().to_owned()
        };
        let all_of = |most: &str, line: &str| {
            assert!(
                out(200).contains("at most  17.0 MiB/s  █▁▁"),
                "{}",
                out(200)
            );
            assert!(line.contains(&format!("at most {most}/s")), "{line}");
        };
        all_of("  1.0 MiB", &out(80));
        assert!(out(80).ends_with("/s  ████████████████████████████████"));
        // Narrower than what comes before the sparkline.
        all_of("  1.0 MiB", &out(47));
    }

    #[test]
    fn a_line_is_cleared_before_it_is_printed() {
        assert_eq!(
            over_the_last("one\n\ntwo"),
            "\x1b[H\x1b[Kone\n\x1b[K\n\x1b[Jtwo"
        );
        assert_eq!(over_the_last("one"), "\x1b[H\x1b[Jone");
    }

    #[test]
    fn a_sparkline_has_a_column_for_each_value() {
        assert_eq!(sparkline(&[0.0, 4.0, 8.0], 8.0), " ▄█");
        assert_eq!(sparkline(&[0.0, 0.0], 0.0), "  ");
        assert_eq!(sparkline(&[], 0.0), "");
        assert_eq!(bar(0.5, 4), "[##  ]");
        assert_eq!(bar(2.0, 4), "[####]");
    }
}
