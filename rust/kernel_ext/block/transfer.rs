// SPDX-License-Identifier: GPL-2.0

//! Reading and writing of claimed swap, which needs no memory once it is set up.
//!
//! A [`Transfer`] is a buffer together with all that its I/O takes: bios, their vectors, and a work
//! item for the end. So starting one allocates nothing and waits for nothing, and may be done while
//! memory is reclaimed and within `submit_bio()`. That is how forward progress is guaranteed: code
//! that must get on keeps transfers in reserve. One comes back when the device has done its part
//! and a worker of the [`ReclaimQueue`], which has a thread set aside, has run; neither waits for
//! memory. That worker may drop the last reference to claimed swap, and so release it: keep one
//! elsewhere. A load that finds none left queues up, in a
//! [`PendingQueue`](crate::kernel_ext::mm::pending_page::PendingQueue), for the next to come back.
//! Below, the block layer has reserves of its own, as for all swap. No architecture with 64 bits
//! and Rust has caches that would have to be flushed where a buffer is vmalloc's.
//!
//! C header: [`include/linux/bio.h`](srctree/include/linux/bio.h)

use crate::kernel_ext::{
    bindings,
    block::buffer::{
        Block,
        BlockBuffer, //
    },
    mm::{
        reclaim::NoReclaimScope,
        swapfile::ClaimedSwap, //
    },
    sync::workqueue::{
        Guest,
        ReclaimQueue, //
    },
};
use core::{
    convert::Infallible,
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
    /// Makes the buffer what is to be written, before [`Transfer::write`] writes it.
    ///
    /// Context: as for [`TransferDone::done`]. Errors: those that the writing is to end with.
    /// Nothing is written then.
    fn begin(&mut self, _transfer: Pin<&mut Transfer<Self>>) -> Result {
        Ok(())
    }

    /// Gives the transfer back. `result` says whether all of it was read or written.
    ///
    /// Context: process, a worker of the queue that was given; may sleep, but if it waits for
    /// memory, so does all that waits for the transfer. Errors: [`EINVAL`] if it is not within the
    /// claimed swap; those of the device, of which the first to come counts. What a failed read
    /// left in it is undefined.
    fn done(self, transfer: Pin<KBox<Transfer<Self>>>, result: Result);
}

/// For transfers that are only waited for.
impl TransferDone for Infallible {
    fn done(self, _: Pin<KBox<Transfer<Self>>>, _: Result) {
        match self {}
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

/// Whose I/O it is, for the limits of control groups.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Charge {
    /// That of the task that starts it.
    Task,
    /// That of the root group, which has no limits: other tasks wait for it than the one that starts
    /// it.
    Root,
}

/// What is to be moved yet.
struct Job {
    swap: Arc<ClaimedSwap>,
    direction: Direction,
    charge: Charge,
    /// The next page of it.
    page: u64,
    /// The blocks of the buffer that go there and after it.
    blocks: Range<usize>,
}

/// What is told at the end.
enum Waiter<C> {
    None,
    /// A worker of the queue that is to come.
    Worker(Guest, C),
    /// A task that waits in [`Transfer::wait`], until it is done.
    Task(*const Completion),
}

/// A buffer, and the memory that reading and writing it takes. Where it is started, it is given
/// away, and [`TransferDone::done`] gives it back: so the buffer is not touched meanwhile.
///
/// # Examples
///
/// ```ignore
/// let mut transfer = Transfer::<Infallible>::new(4)?;
/// transfer.as_mut().bytes_mut().fill(0xa5);
/// transfer.as_mut().write_and_wait(&swap, 1, 0..4)?;
/// transfer.as_mut().read_and_wait(&swap, 1, 0..4)?;
/// ```
///
/// # Invariants
///
/// - `vecs` has the page of each block of `buffer`, in order.
/// - While `left` is not 0, so many of `bios` are with the block layer or about to be, and this
///   value is theirs: nothing but `left` and `error` is written, and it is not dropped.
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

    /// Reads pages `first..` of `swap` into `blocks`; then `then` is told by a worker of `queue`,
    /// which let go of `swap` just before.
    ///
    /// Context: process, also within `submit_bio()` and where memory is reclaimed; does not wait
    /// for memory or for I/O of ours.
    pub(crate) fn read(
        self: Pin<KBox<Self>>,
        swap: Arc<ClaimedSwap>,
        first: u64,
        blocks: Range<usize>,
        queue: &ReclaimQueue,
        then: C,
    ) {
        let mut this = self;
        let job = Job::new(swap, Direction::Read, Charge::Task, first, blocks);
        this.as_mut().take_for(job, queue, then);
        Self::go_on(this);
    }

    /// Has a worker of `queue` write `blocks` to pages `first..` of `swap`, which may not be 0. The
    /// worker has `then` [begin](TransferDone::begin) that; as for [`Transfer::read`], one tells it
    /// the end.
    ///
    /// Context: any but interrupts; never sleeps.
    pub(crate) fn write(
        self: Pin<KBox<Self>>,
        swap: Arc<ClaimedSwap>,
        first: u64,
        blocks: Range<usize>,
        queue: &ReclaimQueue,
        then: C,
    ) {
        let mut this = self;
        let job = Job::new(swap, Direction::Write, Charge::Root, first, blocks);
        this.as_mut().take_for(job, queue, then);
        *this.as_mut().project().is_new = true;
        queue.enqueue(this);
    }

    /// Reads pages `first..` of `swap` into `blocks`.
    ///
    /// Context: sleeps until it is done; never within `submit_bio()`, where it would wait for
    /// itself. What the block layer allocates may come from the reserves. Errors: as
    /// [`TransferDone::done`].
    pub(crate) fn read_and_wait(
        self: Pin<&mut Self>,
        swap: &Arc<ClaimedSwap>,
        first: u64,
        blocks: Range<usize>,
    ) -> Result {
        let swap = swap.clone();
        self.wait(Job::new(swap, Direction::Read, Charge::Root, first, blocks))
    }

    /// Writes `blocks` to pages `first..` of `swap`, which may not be 0.
    ///
    /// Context and errors: as [`Transfer::read_and_wait`].
    pub(crate) fn write_and_wait(
        self: Pin<&mut Self>,
        swap: &Arc<ClaimedSwap>,
        first: u64,
        blocks: Range<usize>,
    ) -> Result {
        let swap = swap.clone();
        self.wait(Job::new(
            swap,
            Direction::Write,
            Charge::Root,
            first,
            blocks,
        ))
    }

    /// Starts what is left to do, or, if nothing is, has the worker called.
    fn go_on(mut self: Pin<KBox<Self>>) {
        let count = self.as_mut().prepare();
        // SAFETY: The value does not move out of its box. From here on it is owned by its bios, and
        // is made a box again in `landed()`.
        let this = KBox::into_raw(unsafe { Pin::into_inner_unchecked(self) });
        // SAFETY: It was just given to so many prepared bios.
        unsafe { Self::submit(this, count) };
    }

    fn wait(mut self: Pin<&mut Self>, job: Job) -> Result {
        // As reclaim does when it writes to swap, whatever is below that.
        let _scope = NoReclaimScope::new();
        self.as_mut().take(job);
        loop {
            let count = self.as_mut().prepare();
            if count == 0 {
                break;
            }
            pin_init::stack_pin_init!(let done = Completion::new());
            *self.as_mut().project().waiter = Waiter::Task(&raw const *done);
            // SAFETY: The value is not moved. `self` is borrowed for as long as this function runs,
            // and is not used until the bios have landed.
            unsafe { Self::submit(self.as_mut().get_unchecked_mut(), count) };
            done.wait_for_completion();
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

    /// The same, for `then` to be told by a worker of `queue`.
    fn take_for(mut self: Pin<&mut Self>, job: Job, queue: &ReclaimQueue, then: C) {
        self.as_mut().take(job);
        *self.project().waiter = Waiter::Worker(queue.guest(), then);
    }

    /// Has what will be told begin, if that was not done.
    fn begin(mut self: Pin<&mut Self>) {
        let fields = self.as_mut().project();
        if !core::mem::take(fields.is_new) || fields.error.load(Relaxed) != 0 {
            return;
        }
        let mut waiter = core::mem::replace(fields.waiter, Waiter::None);
        if let Waiter::Worker(_, then) = &mut waiter {
            if let Err(error) = then.begin(self.as_mut()) {
                self.error.store(error.to_errno(), Relaxed);
            }
        }
        *self.project().waiter = waiter;
    }

    /// Sets up bios for what is to be done next; returns how many, 0 if there is no more to do.
    fn prepare(self: Pin<&mut Self>) -> usize {
        // SAFETY: Nothing is moved out of it.
        let this = unsafe { self.get_unchecked_mut() };
        let Some(job) = &mut this.job else { return 0 };
        if this.error.load(Relaxed) != 0 {
            return 0;
        }
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
            // the vectors. The claimed swap keeps the device, which the bio is associated with.
            unsafe {
                bindings::bio_init(
                    bio,
                    job.swap.device(),
                    this.vecs.as_mut_ptr().add(job.blocks.start),
                    pages as u16,
                    job.direction.operation(),
                );
                if job.charge == Charge::Root {
                    bindings::kernel_ext_bio_associate_root(bio);
                }
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
        // INVARIANT: The caller submits the bios that were prepared next.
        this.left.store(count, Relaxed);
        count
    }

    /// Submits the first `count` bios. If that is 0, tells the waiter at once.
    ///
    /// # Safety
    ///
    /// `this` is valid until the waiter is told, and until then it has no other user. `prepare()`
    /// has returned `count`.
    unsafe fn submit(this: *mut Self, count: usize) {
        if count == 0 {
            // SAFETY: By the requirement of this function; no bio is left.
            unsafe { Self::landed(this) };
            return;
        }
        // SAFETY: As above. The bios do not move, and those to come keep the value until they, too,
        // are submitted; it is not touched after the last.
        unsafe {
            let bios = (*this).bios.as_mut_ptr();
            for index in 0..count {
                let bio = Opaque::cast_into(bios.add(index));
                (*bio).bi_private = this.cast();
                bindings::submit_bio(bio);
            }
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
    /// `this` is as `submit()` wants it, and no bio of it is left.
    unsafe fn landed(this: *mut Self) {
        // SAFETY: By the requirement of this function, this is the only user until the waiter is
        // told, which is the last that is done to it here. A waiting task keeps its `Completion`
        // until then; a guest keeps the queue, and is read before the transfer is the worker's. A
        // transfer with a worker was a pinned box, see `go_on()`.
        unsafe {
            match &(*this).waiter {
                Waiter::Task(done) => (**done).complete_all(),
                Waiter::Worker(guest, _) => {
                    let queue: *const _ = guest.queue();
                    (*queue).enqueue(Pin::new_unchecked(KBox::from_raw(this)));
                }
                Waiter::None => (),
            }
        }
    }
}

impl<C: TransferDone> WorkItem for Transfer<C> {
    type Pointer = Pin<KBox<Self>>;

    fn run(mut this: Pin<KBox<Self>>) {
        this.as_mut().begin();
        let rest = (this.job.as_ref()).filter(|job| !job.blocks.is_empty());
        if let Some(job) = rest.filter(|_| this.error.load(Relaxed) == 0) {
            // As in `wait()`.
            let _scope = (job.direction == Direction::Write).then(NoReclaimScope::new);
            return Self::go_on(this);
        }
        let fields = this.as_mut().project();
        *fields.job = None;
        let result = to_result(fields.error.load(Relaxed));
        if let Waiter::Worker(guest, then) = core::mem::replace(fields.waiter, Waiter::None) {
            // From here on it is an ordinary work item, which the queue waits for.
            drop(guest);
            then.done(this, result);
        }
    }
}

impl Job {
    fn new(
        swap: Arc<ClaimedSwap>,
        direction: Direction,
        charge: Charge,
        page: u64,
        blocks: Range<usize>,
    ) -> Self {
        Self {
            swap,
            direction,
            charge,
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
