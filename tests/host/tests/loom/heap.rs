// SPDX-License-Identifier: GPL-2.0

//! A heap of objects that loom watches: to read one that another thread may be freeing or filling
//! fails the model, whatever the values read.

use std::sync::Mutex;

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

/// A heap that gives out an object again at once after it was freed.
pub struct Heap {
    length: fn(Mark) -> Length,
    memory: Vec<Memory>,
    /// A mutex of std: loom need not try its orders, because `live` has them.
    free: Mutex<Vec<usize>>,
}

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
            free: Mutex::new((0..size).rev().collect()),
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

    /// What is in `object`.
    pub fn read(&self, object: &Object) -> Mark {
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
    }
}
