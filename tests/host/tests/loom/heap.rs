// SPDX-License-Identifier: GPL-2.0

//! A heap of objects, and of bundles of them, that loom watches: to read one that another thread may be
//! freeing or filling fails the model, whatever the values read.

use std::sync::Mutex;

use ghostswap_core::bundle::Shares;
use ghostswap_core::payload::{
    Coder,
    Form,
    Length, //
};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{
    AtomicBool,
    Ordering, //
};

use crate::object::Object;

/// What was put into an object: different for each store.
pub type Mark = u16;

struct Memory {
    /// Orders a free before the allocation that takes the memory next, as an allocator's lock does.
    live: AtomicBool,
    content: UnsafeCell<Mark>,
}

/// The most objects of a bundle of a model.
const MEMBERS: usize = 2;

/// What is in each object of a bundle, and how many of its shares are left.
struct Bundle {
    marks: Vec<Mark>,
    left: Shares,
}

/// Where a bundle is.
struct BundleMemory {
    live: AtomicBool,
    content: UnsafeCell<Option<Bundle>>,
}

/// A heap that gives out an object again at once after it was freed.
pub struct Heap {
    length: fn(Mark) -> Length,
    memory: Vec<Memory>,
    bundles: Vec<BundleMemory>,
    /// A mutex of std: loom need not try its orders, because `live` has them.
    free: Mutex<Vec<usize>>,
    free_bundles: Mutex<Vec<usize>>,
}

/// So many bundles there are at once at most.
const BUNDLES: usize = 2;

impl Heap {
    /// A heap of `size` objects, whose lengths are what `length` says.
    pub fn new(size: usize, length: fn(Mark) -> Length) -> Self {
        Self {
            length,
            memory: (0..size)
                .map(|_| Memory {
                    live: AtomicBool::new(false),
                    content: UnsafeCell::new(0),
                })
                .collect(),
            bundles: (0..BUNDLES)
                .map(|_| BundleMemory {
                    live: AtomicBool::new(false),
                    content: UnsafeCell::new(None),
                })
                .collect(),
            free: Mutex::new((0..size).rev().collect()),
            free_bundles: Mutex::new((0..BUNDLES).rev().collect()),
        }
    }

    /// The length of an object with `mark` in it.
    pub fn length_of(&self, mark: Mark) -> Length {
        (self.length)(mark)
    }

    /// A new object, with `mark` in it, that `coder` made.
    pub fn allocate(&self, mark: Mark, coder: Coder) -> Object {
        let index = self.free.lock().unwrap().pop();
        let index = index.expect("an object is free, unless they leak");
        let memory = &self.memory[index];
        assert!(!memory.live.swap(true, Ordering::Acquire));
        // SAFETY: Loom checks that no other thread reads or writes it.
        memory
            .content
            .with_mut(|content| unsafe { *content = mark });
        let length = self.length_of(mark);
        Object::new(index, Form { length, coder })
    }

    /// A new bundle of objects with `marks` in them: its shares.
    pub fn bundle(&self, marks: Vec<Mark>) -> Vec<Object> {
        assert!(marks.len() <= MEMBERS);
        let index = self.free_bundles.lock().unwrap().pop();
        let index = index.expect("a bundle is free, unless they leak");
        let bundle = &self.bundles[index];
        assert!(!bundle.live.swap(true, Ordering::Acquire));
        let shares = (marks.iter().enumerate())
            .map(|(member, mark)| {
                let length = self.length_of(*mark);
                let coder = Coder::Second;
                let name = self.memory.len() + index * MEMBERS + member;
                Object::new(name, Form { length, coder })
            })
            .collect();
        let left = Shares::new(marks.len());
        // SAFETY: Loom checks that no other thread reads or writes it.
        bundle
            .content
            .with_mut(|content| unsafe { *content = Some(Bundle { marks, left }) });
        shares
    }

    /// Calls `with` with the bundle that `object` is a share of, and says which; [`None`] if it is none.
    fn with_bundle<R>(&self, object: &Object, with: impl FnOnce(&Bundle) -> R) -> Option<R> {
        let share = object.index().checked_sub(self.memory.len())?;
        // SAFETY: Loom checks that no other thread writes it.
        let result = self.bundles[share / MEMBERS]
            .content
            .with(|content| unsafe { (*content).as_ref().map(with) });
        Some(result.expect("a bundle is there while a share of it is"))
    }

    /// Frees `share`, and with the last one its bundle. Returns what it was if it was none.
    fn free_share(&self, share: Object) -> Option<Object> {
        let Some(is_last) = self.with_bundle(&share, |bundle| bundle.left.end()) else {
            return Some(share);
        };
        if is_last {
            let index = (share.index() - self.memory.len()) / MEMBERS;
            let bundle = &self.bundles[index];
            // SAFETY: Loom checks that no other thread reads or writes it.
            bundle
                .content
                .with_mut(|content| unsafe { *content = None });
            assert!(bundle.live.swap(false, Ordering::Release), "a double free");
            self.free_bundles.lock().unwrap().push(index);
        }
        share.forget();
        None
    }

    /// What is in `object`.
    pub fn read(&self, object: &Object) -> Mark {
        let member = object.index().wrapping_sub(self.memory.len()) % MEMBERS;
        if let Some(mark) = self.with_bundle(object, |bundle| bundle.marks[member]) {
            return mark;
        }
        // SAFETY: Loom checks that no other thread writes it.
        let mark = self.memory[object.index()]
            .content
            .with(|content| unsafe { *content });
        assert_eq!(
            object.form().length,
            self.length_of(mark),
            "this is the content of another object"
        );
        mark
    }

    /// Frees `object`.
    pub fn free(&self, object: Object) {
        self.read(&object);
        let Some(object) = self.free_share(object) else {
            return;
        };
        let index = object.index();
        let memory = &self.memory[index];
        // SAFETY: Loom checks that no other thread reads or writes it.
        memory.content.with_mut(|content| unsafe { *content = 0 });
        assert!(memory.live.swap(false, Ordering::Release), "a double free");
        self.free.lock().unwrap().push(index);
        object.forget();
    }

    /// Fails if an object was not freed.
    pub fn check_all_free(&self) {
        assert_eq!(
            self.free.lock().unwrap().len(),
            self.memory.len(),
            "an object leaked"
        );
        assert_eq!(
            self.free_bundles.lock().unwrap().len(),
            BUNDLES,
            "a bundle leaked"
        );
    }
}
