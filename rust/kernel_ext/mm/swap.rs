// SPDX-License-Identifier: GPL-2.0

//! Swap areas whose pages a module keeps, as frontswap let it: five hooks.
//!
//! Frontswap left the kernel in 6.6. What called its hooks then is called now:
//!
//! | hook | called by |
//! |---|---|
//! | [`Hooks::init`] | `address_space_operations.swap_activate`, from swapon(2) |
//! | [`Hooks::store`], [`Hooks::load`] | `swap_ops.submit_write` and `submit_read`, many pages at once |
//! | [`Hooks::invalidate_page`] | `block_device_operations.swap_slot_free_notify` of a hidden disk |
//! | [`Hooks::invalidate_area`] | `address_space_operations.swap_deactivate`, from swapoff(2) |
//!
//! C header: [`include/linux/swap.h`](srctree/include/linux/swap.h)

use crate::kernel_ext::{
    bindings,
    mm::swap_batch::{
        LoadBatch,
        StoreBatch, //
    },
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

/// One swap area, from swapon to swapoff.
///
/// The kernel does one thing at a time to a slot: it loads with the slot's folio locked, stores
/// with the folio under writeback, and invalidates no slot whose folio is either.
///
/// # Examples
///
/// ```ignore
/// /// The words that pages repeat. Other pages stay in memory.
/// struct Words(KVVec<Atomic<u64>>);
///
/// impl Hooks for Words {
///     const DISK_NAME: &'static str = "words";
///     type Context = ();
///
///     fn init(_: &(), slots: usize, _: AreaStatus) -> Result<Arc<Self>> {
///         let mut words = KVVec::with_capacity(slots, GFP_KERNEL)?;
///         for _ in 0..slots {
///             words.push(Atomic::new(0), GFP_KERNEL)?;
///         }
///         Ok(Arc::new(Self(words), GFP_KERNEL)?)
///     }
///
///     fn is_synchronous(&self) -> bool {
///         true
///     }
///
///     fn store(&self, batch: &mut StoreBatch<'_>) {
///         let keep = |slot: usize, page: &SourcePage<'_>| {
///             let word = page.repeated_word().ok_or(ENOSPC)?;
///             self.0[slot].store(word, Relaxed);
///             Ok(())
///         };
///         batch.each_page(keep, |slot| self.invalidate_page(slot));
///     }
///
///     fn load(self: ArcBorrow<'_, Self>, batch: &mut LoadBatch<'_>) {
///         batch.each_page(|slot, mut target| {
///             let word = self.0[slot].load(Relaxed);
///             Ok(target.page().fill(word).into())
///         });
///     }
///
///     fn invalidate_page(&self, _: usize) {}
///
///     fn invalidate_area(&self) {}
/// }
/// ```
pub(crate) trait Hooks: Send + Sync + Sized + 'static {
    /// What its disk is called, before a number: 1 to 20 characters.
    const DISK_NAME: &'static str;

    /// What the area is given of the file that it is on.
    type Context: 'static;

    /// Begins an area of `slots` slots, the header's own included, which is swapped on as `status`
    /// says.
    ///
    /// Context: may sleep; the file's inode is locked.
    fn init(context: &Self::Context, slots: usize, status: AreaStatus) -> Result<Arc<Self>>;

    /// Returns whether the area is synchronous. Then folios are swapped out one by one, and freed at
    /// once; and pages are swapped in one by one. If not, both go in batches: folios are freed when
    /// reclaim comes upon them again, and pages beside one that is swapped in are read ahead.
    ///
    /// Context: as [`Hooks::init`]. It stays the same.
    fn is_synchronous(&self) -> bool;

    /// Keeps the pages of `batch` for their slots, in place of what was there: see
    /// [`StoreBatch::each_page`]. Folios that it does not look at stay in memory.
    ///
    /// Context: may sleep, but runs where memory is reclaimed: must not wait for memory or I/O.
    fn store(&self, batch: &mut StoreBatch<'_>);

    /// Writes to the pages of `batch` what was stored for their slots, or puts them off:
    /// [`LoadTarget::defer`]. The user of a page that fails, or that it does not look at, gets
    /// SIGBUS.
    ///
    /// Context: as [`Hooks::store`].
    ///
    /// [`LoadTarget::defer`]: super::pending_page::LoadTarget::defer
    fn load(self: ArcBorrow<'_, Self>, batch: &mut LoadBatch<'_>);

    /// Forgets what was stored for `slot`, if anything.
    ///
    /// Context: atomic: spinlocks are held, and interrupts may be off. Must be quick.
    fn invalidate_page(&self, slot: usize);

    /// Forgets everything. Nothing else is called any more.
    ///
    /// Context: may sleep.
    fn invalidate_area(&self);
}

/// Whether an area is swapped on.
///
/// # Invariants
///
/// The pointer is that of an area of swapon(2). Those are never freed: `alloc_swap_info()` enters
/// them in `swap_info`, and takes them from there again.
pub(crate) struct AreaStatus(NonNull<bindings::swap_info_struct>);

// SAFETY: Any task may look at the flags of an area.
unsafe impl Send for AreaStatus {}
// SAFETY: As above.
unsafe impl Sync for AreaStatus {}

impl AreaStatus {
    /// # Safety
    ///
    /// `area` is one of swapon(2).
    pub(in crate::kernel_ext) unsafe fn new(area: NonNull<bindings::swap_info_struct>) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(area)
    }

    /// Returns whether the area takes pages. Not so before swapon(2) is done, and from the moment
    /// that swapoff(2) begins; if that fails, it is so again. It has no meaning once the area
    /// ended.
    ///
    /// Context: any. See `del_from_avail_list()` in `mm/swapfile.c`.
    pub(crate) fn is_on(&self) -> bool {
        // SAFETY: By the type invariants, the area is valid. Its flags are a word, which others may
        // write meanwhile; the kernel reads them so, too.
        let flags = unsafe { (&raw const (*self.0.as_ptr()).flags).read_volatile() };
        flags & bindings::SWP_WRITEOK as c_ulong != 0
    }

    /// How many slots of the area are in use, those included whose pages the kernel keeps by itself, as
    /// of zeros. It has no meaning once the area ended.
    ///
    /// Context: any. See `swap_usage_in_pages()` in `mm/swapfile.c`.
    pub(crate) fn used(&self) -> u64 {
        // SAFETY: As above.
        let used = unsafe { (&raw const (*self.0.as_ptr()).inuse_pages.counter).read_volatile() };
        // A bit beside the count says whether the area is full.
        used as u64 & !(1 << (u64::BITS - 2))
    }
}

/// Returns whether this task is in swapoff(2), and brings the pages of an area back.
///
/// The sign of it is that the OOM killer would choose this task first. A task that ends KSM has it,
/// too.
///
/// Context: any. See `swapoff` in `mm/swapfile.c`.
pub(crate) fn is_in_swapoff() -> bool {
    // SAFETY: Reads a flag of this task.
    unsafe { bindings::kernel_ext_current_is_oom_origin() }
}
