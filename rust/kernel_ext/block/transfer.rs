// SPDX-License-Identifier: GPL-2.0

//! Reading and writing of claimed swap, which needs no memory once it is set up.
//!
//! A [`Transfer`] is a buffer together with all that its I/O takes: bios, their vectors, and a work
//! item. So starting one allocates nothing and waits for nothing, and may be done while memory is
//! reclaimed and within `submit_bio()`. That is how forward progress is guaranteed: code that must
//! get on keeps transfers in reserve. One comes back when the device has done its part and, unless
//! that was at once, a worker of the [`ReclaimQueue`] has run, which has a thread set aside; neither
//! waits for memory. That worker may drop the last reference to claimed swap, and so release it:
//! keep one elsewhere. A load that finds none left queues up, in a
//! [`PendingQueue`](crate::kernel_ext::mm::pending_page::PendingQueue), for the next to come back.
//! Below, the block layer has reserves of its own, as for all swap. No architecture with 64 bits
//! and Rust has caches that would have to be flushed where a buffer is vmalloc's.
//!
//! The device may be done with a transfer before its last bio was submitted, in an interrupt, or
//! never have been asked. So the thread that submits counts as one bio more. What ends the count
//! has the transfer: the thread that submitted goes on with it, as it would with a device that is
//! waited for; an interrupt puts it on its [`Landing`], where a worker takes up all that are there.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

use crate::{
    core::pile::Pile,
    kernel_ext::{
        bindings,
        block::{
            buffer::{
                Block,
                BlockBuffer, //
            },
            io_group::{
                IoGroup,
                ROOT, //
            },
        },
        mm::{
            reclaim::NoReclaimScope,
            swapfile::SwapRef, //
        },
        sync::workqueue::ReclaimQueue,
    },
};
use core::{
    marker::PhantomData,
    ops::Range, //
};
use kernel::{
    alloc::KVVec,
    error::to_result,
    impl_has_work,
    new_work,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        rcu,
        Arc,
        Completion, //
    },
    types::Opaque,
    workqueue::{
        Work,
        WorkItem, //
    }, //
};

/// The most pages in one bio: 1 MiB.
const BIO_PAGES: usize = (1 << 20) >> PAGE_SHIFT;

const _: () = assert!(BIO_PAGES <= bindings::BIO_MAX_VECS as usize);

/// What happens when a transfer is done, and before it is begun.
pub(crate) trait TransferDone: Send + Sized + 'static {
    /// Where it is taken up if it is not done at once.
    fn landing(&self) -> &Arc<Landing<Self>>;

    /// The group that it is charged to, whatever task starts it.
    fn group(&self) -> &IoGroup;

    /// Makes the buffer what is to be written, before [`Transfer::write`] writes it.
    ///
    /// Context: as for [`TransferDone::done`]. Errors: those that the writing is to end with.
    /// Nothing is written then.
    fn begin(&mut self, _transfer: Pin<&mut Transfer<Self>>) -> Result {
        Ok(())
    }

    /// Gives the transfer back. `result` says whether all of it was read or written.
    ///
    /// Context: process: the task that started it, or a worker of the landing's queue. May sleep,
    /// but if it waits for memory, so does all that waits for the transfer. Errors: [`EINVAL`] if it
    /// is not within the claimed swap; those of the device, of which the first to come counts. What
    /// a failed read left in it is undefined.
    fn done(self, transfer: Pin<KBox<Transfer<Self>>>, result: Result);
}

/// Where transfers come that the device is done with, for a worker to go on with.
///
/// A worker takes up all that are there. So where the device is done with many at a time, they cost
/// one worker, and not one each.
///
/// Its owner keeps it until no transfer is in flight, and then waits for a grace period of RCU. So
/// what ends in an interrupt does not have to end the landing, which cannot be done there.
///
/// # Invariants
///
/// The numbers on `landed` are addresses of transfers that were pinned boxes, and are the pile's.
#[pin_data]
pub(crate) struct Landing<C: TransferDone> {
    queue: Arc<ReclaimQueue>,
    landed: Pile,
    #[pin]
    work: Work<Self>,
    _landed: PhantomData<Pin<KBox<Transfer<C>>>>,
}

impl_has_work! {
    impl{C: TransferDone} HasWork<Self> for Landing<C> { self.work }
}

impl<C: TransferDone> Landing<C> {
    /// One whose workers are of `queue`.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(queue: Arc<ReclaimQueue>) -> Result<Arc<Self>> {
        // INVARIANT: Nothing is on the pile.
        Arc::pin_init(
            pin_init!(Self {
                queue,
                landed: Pile::new(),
                work <- new_work!("Landing::work"),
                _landed: PhantomData,
            }),
            GFP_KERNEL,
        )
    }

    /// Has a worker take up `transfer`.
    ///
    /// Context: any, interrupts included.
    ///
    /// # Safety
    ///
    /// It was a pinned box, and is given away by this.
    unsafe fn put(self: Arc<Self>, transfer: *mut Transfer<C>) {
        // A worker may be done with it before this returns.
        let _guard = rcu::read_lock();
        // INVARIANT: By the requirement of this function.
        let first = self.landed.put(transfer as u64, |below| {
            // SAFETY: As above: it is not the pile's yet.
            unsafe { (*transfer).below = below };
        });
        if first {
            self.queue.enqueue(self.clone());
        }
        // By the rule for owners, this is not the last reference.
        drop(self);
    }
}

impl<C: TransferDone> WorkItem for Landing<C> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        // The last to come is on top; the first is the first to be served.
        let mut top = this.landed.take();
        let mut turned = 0;
        while top != 0 {
            let transfer = top as *mut Transfer<C>;
            // SAFETY: By the type invariants, it is a transfer, and it was just taken up.
            let below = unsafe { core::mem::replace(&mut (*transfer).below, turned) };
            turned = top;
            top = below;
        }
        while turned != 0 {
            // SAFETY: As above; it was a pinned box.
            let transfer =
                unsafe { Pin::new_unchecked(KBox::from_raw(turned as *mut Transfer<C>)) };
            turned = transfer.below;
            if transfer.has_more() {
                // It may have to wait to be submitted. The others do not wait for that.
                this.queue.enqueue(transfer);
            } else {
                transfer.finish();
            }
        }
    }
}

/// Which way the bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

impl Direction {
    /// As swap does its own, see `mm/page_io.c`: REQ_SWAP keeps writes that free memory from being
    /// throttled for the sake of the memory that they free.
    fn operation(self) -> bindings::blk_opf_t {
        match self {
            Self::Read => bindings::req_op_REQ_OP_READ,
            Self::Write => bindings::req_op_REQ_OP_WRITE | 1 << bindings::req_flag_bits___REQ_SWAP,
        }
    }
}

/// What is to be moved yet.
struct Job {
    swap: SwapRef,
    direction: Direction,
    /// The next page of it.
    page: u64,
    /// The blocks of the buffer that go there and after it.
    blocks: Range<usize>,
}

/// What is told at the end.
enum Waiter<C> {
    None,
    /// The task that started it, or a worker.
    Then(C),
    /// A task that waits in [`Transfer::wait`], until it is done.
    Task(*const Completion),
}

/// A buffer, and the memory that reading and writing it takes. Where it is started, it is given
/// away, and [`TransferDone::done`] gives it back: so the buffer is not touched meanwhile.
///
/// # Examples
///
/// ```ignore
/// let mut transfer = Transfer::<Example>::new(4)?;
/// transfer.as_mut().bytes_mut().fill(0xa5);
/// transfer.as_mut().write_and_wait(&swap, 1, 0..4)?;
/// transfer.as_mut().read_and_wait(&swap, 1, 0..4)?;
/// ```
///
/// # Invariants
///
/// - `vecs` has the page of each block of `buffer`, in order.
/// - While `left` is not 0, so many of `bios`, or one less and the thread that submits them, have
///   the value: nothing but `left` and `error` is written, and it is not dropped. What takes `left`
///   to 0 has it alone.
#[pin_data]
pub(crate) struct Transfer<C: TransferDone> {
    buffer: BlockBuffer,
    vecs: KVVec<bindings::bio_vec>,
    /// How many of them are used at once is how many are in flight.
    bios: KVec<Opaque<bindings::bio>>,
    job: Option<Job>,
    waiter: Waiter<C>,
    /// Whether [`TransferDone::begin`] is to be called yet.
    is_new: bool,
    left: Atomic<usize>,
    /// The first error, or 0.
    error: Atomic<i32>,
    /// Bios that the last job took.
    requests: usize,
    /// The one below it on the pile of a landing.
    below: u64,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl{C: TransferDone} HasWork<Self> for Transfer<C> { self.work }
}

// SAFETY: It owns all that it points to, but for a `Completion` that is waited for, which is
// shared.
unsafe impl<C: TransferDone> Send for Transfer<C> {}
// SAFETY: Shared, it only lets its buffer be read.
unsafe impl<C: TransferDone> Sync for Transfer<C> {}

impl<C: TransferDone> Transfer<C> {
    /// A transfer of up to `blocks` pages. They are zero.
    ///
    /// Context: may sleep, and reclaim memory: make it before it is needed. Errors: [`ENOMEM`];
    /// [`EINVAL`] if `blocks` is 0.
    pub(crate) fn new(blocks: usize) -> Result<Pin<KBox<Self>>> {
        if blocks == 0 {
            return Err(EINVAL);
        }
        let mut buffer = BlockBuffer::new(blocks)?;
        let mut vecs = KVVec::with_capacity(blocks, GFP_KERNEL)?;
        for block in buffer.blocks_mut() {
            let vec = bindings::bio_vec {
                bv_page: block.page(),
                bv_len: PAGE_SIZE as u32,
                bv_offset: 0,
            };
            vecs.push(vec, GFP_KERNEL)?;
        }
        // One more than the pages need, so that one break between extents costs no second round.
        let count = blocks.min(blocks.div_ceil(BIO_PAGES) + 1);
        let mut bios = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            bios.push(Opaque::zeroed(), GFP_KERNEL)?;
        }
        // INVARIANT: The vectors were just filled, and nothing is in flight.
        KBox::pin_init(
            pin_init!(Self {
                buffer,
                vecs,
                bios,
                job: None,
                waiter: Waiter::None,
                is_new: false,
                left: Atomic::new(0),
                error: Atomic::new(0),
                requests: 0,
                below: 0,
                work <- new_work!("Transfer::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// The pages.
    pub(crate) fn blocks(&self) -> &[Block] {
        self.buffer.blocks()
    }

    /// The pages.
    pub(crate) fn blocks_mut(self: Pin<&mut Self>) -> &mut [Block] {
        self.project().buffer.blocks_mut()
    }

    /// The bytes of all pages, one after the other.
    pub(crate) fn bytes_mut(self: Pin<&mut Self>) -> &mut [u8] {
        self.project().buffer.bytes_mut()
    }

    /// How many requests the last reading or writing took.
    pub(crate) fn requests(&self) -> usize {
        self.requests
    }

    /// Reads pages `first..` of `swap` into `blocks`. Then lets go of `swap`, and calls `then`: at once,
    /// if the device is done by the time that all is submitted, or in a worker.
    ///
    /// Context: process, also within `submit_bio()` and where memory is reclaimed; does not wait
    /// for memory or for I/O of ours. As [`TransferDone::done`].
    pub(crate) fn read(
        self: Pin<KBox<Self>>,
        swap: SwapRef,
        first: u64,
        blocks: Range<usize>,
        then: C,
    ) {
        self.ready(Job::new(swap, Direction::Read, first, blocks), then)
            .go_on();
    }

    /// As [`Transfer::read`], but all of it is done by a worker.
    ///
    /// Context: any; never sleeps.
    pub(crate) fn read_later(
        self: Pin<KBox<Self>>,
        swap: SwapRef,
        first: u64,
        blocks: Range<usize>,
        then: C,
    ) {
        self.later(Job::new(swap, Direction::Read, first, blocks), then);
    }

    /// Has a worker write `blocks` to pages `first..` of `swap`, which may not be 0. The worker has
    /// `then` [begin](TransferDone::begin) that, and tells it the end if the device is done by then; else
    /// another does.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn write(
        self: Pin<KBox<Self>>,
        swap: SwapRef,
        first: u64,
        blocks: Range<usize>,
        then: C,
    ) {
        self.later(Job::new(swap, Direction::Write, first, blocks), then);
    }

    /// Reads pages `first..` of `swap` into `blocks`.
    ///
    /// Context: sleeps until it is done; never within `submit_bio()`, where it would wait for
    /// itself. What the block layer allocates may come from the reserves. Errors: as
    /// [`TransferDone::done`].
    pub(crate) fn read_and_wait(
        self: Pin<&mut Self>,
        swap: &SwapRef,
        first: u64,
        blocks: Range<usize>,
    ) -> Result {
        self.wait(Job::new(swap.clone(), Direction::Read, first, blocks))
    }

    /// Writes `blocks` to pages `first..` of `swap`, which may not be 0.
    ///
    /// Context and errors: as [`Transfer::read_and_wait`].
    pub(crate) fn write_and_wait(
        self: Pin<&mut Self>,
        swap: &SwapRef,
        first: u64,
        blocks: Range<usize>,
    ) -> Result {
        self.wait(Job::new(swap.clone(), Direction::Write, first, blocks))
    }

    fn ready(mut self: Pin<KBox<Self>>, job: Job, then: C) -> Pin<KBox<Self>> {
        *self.as_mut().project().is_new = job.direction == Direction::Write;
        self.as_mut().take(job);
        *self.as_mut().project().waiter = Waiter::Then(then);
        self
    }

    /// Has a worker begin, and go on.
    fn later(self: Pin<KBox<Self>>, job: Job, then: C) {
        let landing = then.landing().clone();
        landing.queue.enqueue(self.ready(job, then));
    }

    /// Has what will be told begin, if that was not done.
    fn begin(mut self: Pin<&mut Self>) {
        let fields = self.as_mut().project();
        if !core::mem::take(fields.is_new) || fields.error.load(Relaxed) != 0 {
            return;
        }
        let mut waiter = core::mem::replace(fields.waiter, Waiter::None);
        if let Waiter::Then(then) = &mut waiter {
            if let Err(error) = then.begin(self.as_mut()) {
                self.error.store(error.to_errno(), Relaxed);
            }
        }
        *self.project().waiter = waiter;
    }

    /// Returns whether something is left to do.
    fn has_more(&self) -> bool {
        self.error.load(Relaxed) == 0
            && (self.job.as_ref()).is_some_and(|job| !job.blocks.is_empty())
    }

    /// Starts what is left to do. If the device is done with all of it at once, finishes.
    fn go_on(mut self: Pin<KBox<Self>>) {
        let is_write = (self.job.as_ref()).is_some_and(|job| job.direction == Direction::Write);
        loop {
            let count = self.as_mut().prepare();
            // SAFETY: The value does not move out of its box, which is made again below or where the
            // waiter is told.
            let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(self) });
            // As in `wait()`; a read that a fault waits for does without.
            let scope = is_write.then(NoReclaimScope::new);
            // SAFETY: It was just given to so many prepared bios, and to this thread.
            let landed = unsafe { Self::submit(this, count) };
            drop(scope);
            if !landed {
                return;
            }
            // SAFETY: It is this thread's again, and was a pinned box.
            self = unsafe { Pin::new_unchecked(KBox::from_raw(this)) };
            if !self.has_more() {
                return self.finish();
            }
        }
    }

    /// Gives it back.
    fn finish(mut self: Pin<KBox<Self>>) {
        let fields = self.as_mut().project();
        *fields.job = None;
        let result = to_result(fields.error.load(Relaxed));
        if let Waiter::Then(then) = core::mem::replace(fields.waiter, Waiter::None) {
            then.done(self, result);
        }
    }

    fn wait(mut self: Pin<&mut Self>, job: Job) -> Result {
        // As reclaim does when it writes to swap, whatever is below that.
        let _scope = NoReclaimScope::new();
        self.as_mut().take(job);
        while self.has_more() {
            let count = self.as_mut().prepare();
            pin_init::stack_pin_init!(let done = Completion::new());
            *self.as_mut().project().waiter = Waiter::Task(&raw const *done);
            // SAFETY: The value is not moved. `self` is borrowed for as long as this function runs,
            // and is not used until all have landed.
            let landed = unsafe { Self::submit(self.as_mut().get_unchecked_mut(), count) };
            if !landed {
                done.wait_for_completion();
            }
            *self.as_mut().project().waiter = Waiter::None;
        }
        let this = self.project();
        *this.job = None;
        to_result(this.error.load(Relaxed))
    }

    /// Takes `job` on, if it can be done.
    fn take(self: Pin<&mut Self>, job: Job) {
        let this = self.project();
        let possible = job.is_within(this.vecs.len());
        this.error
            .store(if possible { 0 } else { EINVAL.to_errno() }, Relaxed);
        *this.requests = 0;
        *this.job = Some(job);
    }

    /// Sets up bios for what is to be done next; returns how many, 0 if there is no more to do.
    fn prepare(self: Pin<&mut Self>) -> usize {
        // SAFETY: Nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        // INVARIANT: The caller has it, and submits what is prepared.
        this.left.store(1, Relaxed);
        let Some(job) = &mut this.job else { return 0 };
        if this.error.load(Relaxed) != 0 {
            return 0;
        }
        // A task that waits does so for others, too.
        let group = match &this.waiter {
            Waiter::Then(then) => then.group(),
            _ => &ROOT,
        };
        let mut count = 0;
        for bio in &this.bios {
            if job.blocks.is_empty() {
                break;
            }
            let (sector, row) = match job.swap.map(job.page) {
                Ok(found) => found,
                Err(error) => {
                    this.error.store(error.to_errno(), Relaxed);
                    break;
                }
            };
            let pages = BIO_PAGES
                .min(job.blocks.len())
                .min(usize::try_from(row).unwrap_or(usize::MAX));
            let bio = bio.get();
            // SAFETY: The bio is not in flight, and `blocks` is within the buffer, see `take()`, so
            // within the vectors; no other bio of this round has these. The block layer only reads
            // the vectors. The claimed swap keeps the device. Without a device, the bio is charged to no
            // group yet.
            unsafe {
                bindings::bio_init(
                    bio,
                    core::ptr::null_mut(),
                    this.vecs.as_mut_ptr().add(job.blocks.start),
                    pages as u16,
                    job.direction.operation(),
                );
                (*bio).bi_bdev = job.swap.device();
                group.charge(bio);
                (*bio).bi_vcnt = pages as u16;
                (*bio).bi_iter.bi_size = (pages << PAGE_SHIFT) as u32;
                (*bio).bi_iter.bi_sector = sector;
                (*bio).bi_end_io = Some(Self::end_io);
            }
            job.page += pages as u64;
            job.blocks.start += pages;
            count += 1;
        }
        this.requests += count;
        // INVARIANT: As above.
        this.left.store(count + 1, Relaxed);
        count
    }

    /// Submits the first `count` bios. Returns whether all have ended: then the value is the caller's
    /// again. If not, the waiter is told when they have, and the value is not the caller's any more.
    ///
    /// # Safety
    ///
    /// `this` is valid, and has no other user. `prepare()` has returned `count`.
    unsafe fn submit(this: *mut Self, count: usize) -> bool {
        // SAFETY: By the requirement of this function. The bios do not move, and this thread keeps the
        // value until it takes its own count off.
        unsafe {
            let bios = (*this).bios.as_mut_ptr();
            for index in 0..count {
                let bio = Opaque::cast_into(bios.add(index));
                (*bio).bi_private = this.cast();
                bindings::submit_bio(bio);
            }
            (*this).left.fetch_sub(1usize, Full) == 1
        }
    }

    /// # Safety
    ///
    /// Called by the block layer, when a bio that `submit()` submitted has ended.
    unsafe extern "C" fn end_io(bio: *mut bindings::bio) {
        // SAFETY: By the requirement of this function; by the type invariants the transfer is valid
        // while a bio is left.
        unsafe {
            let this: *mut Self = (*bio).bi_private.cast();
            let error = bindings::blk_status_to_errno((*bio).bi_status);
            bindings::bio_uninit(bio);
            if error != 0 {
                let _ = (*this).error.cmpxchg(0, error, Relaxed);
            }
            if (*this).left.fetch_sub(1usize, Full) == 1 {
                Self::landed(this);
            }
        }
    }

    /// Tells the waiter.
    ///
    /// # Safety
    ///
    /// `this` was given to `submit()`, and the caller took `left` to 0.
    unsafe fn landed(this: *mut Self) {
        // SAFETY: By the requirement of this function, this is the only user until the waiter is
        // told, which is the last that is done to it here. A waiting task keeps its `Completion`
        // until then. A transfer with a `then` was a pinned box, see `go_on()`.
        unsafe {
            match &(*this).waiter {
                Waiter::Task(done) => (**done).complete_all(),
                Waiter::Then(then) => then.landing().clone().put(this),
                Waiter::None => (),
            }
        }
    }
}

impl<C: TransferDone> WorkItem for Transfer<C> {
    type Pointer = Pin<KBox<Self>>;

    fn run(mut this: Pin<KBox<Self>>) {
        this.as_mut().begin();
        this.go_on();
    }
}

impl Job {
    fn new(swap: SwapRef, direction: Direction, page: u64, blocks: Range<usize>) -> Self {
        Self {
            swap,
            direction,
            page,
            blocks,
        }
    }

    /// Returns whether `swap` has such pages, and a buffer of `blocks` such blocks.
    fn is_within(&self, blocks: usize) -> bool {
        let pages = self.blocks.len() as u64;
        self.blocks.start <= self.blocks.end
            && self.blocks.end <= blocks
            && match self.direction {
                Direction::Read => self.swap.has(self.page, pages),
                Direction::Write => self.swap.may_write(self.page, pages),
            }
    }
}
