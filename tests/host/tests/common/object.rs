// SPDX-License-Identifier: GPL-2.0

//! An object for the slots under test.

use ghostswap_core::payload::{
    Form,
    Key,
    Payload,
    PAYLOAD_BITS, //
};

/// Names use all their bits, so that a name that loses one is another.
const FIRST_NAME: u64 = (1 << PAYLOAD_BITS) - 100;

/// An object that its bearer owns. It must not be dropped: that would be a leak.
pub struct Object {
    name: u64,
    form: Form,
}

impl Object {
    /// The object of number `index`.
    pub fn new(index: usize, form: Form) -> Self {
        Self {
            name: FIRST_NAME + index as u64,
            form,
        }
    }

    /// Its number.
    pub fn index(&self) -> usize {
        (self.name - FIRST_NAME) as usize
    }

    /// Its form, as its bearer was told.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Gives it up.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Payload for Object {
    fn into_parts(self) -> (u64, Form) {
        let parts = (self.name, self.form);
        self.forget();
        parts
    }

    fn from_parts(name: u64, form: Form, _: Key) -> Self {
        Self { name, form }
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        assert!(
            std::thread::panicking(),
            "object {:x} was lost by its bearer",
            self.name
        );
    }
}
