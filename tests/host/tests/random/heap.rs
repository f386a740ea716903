// SPDX-License-Identifier: GPL-2.0

//! A heap that knows the content of each object, and gives out first the one that was freed last.

use std::cell::RefCell;

use ghostswap_core::payload::Form;

use crate::object::Object;

#[derive(Default)]
pub struct Heap<C> {
    objects: RefCell<Vec<Option<(Form, C)>>>,
    free: RefCell<Vec<usize>>,
}

impl<C: Clone> Heap<C> {
    /// A new object of this form, with this in it.
    pub fn allocate(&self, page: (Form, C)) -> Object {
        let mut objects = self.objects.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            objects.push(None);
            objects.len() - 1
        });
        let object = Object::new(index, page.0);
        assert!(objects[index].replace(page).is_none());
        object
    }

    /// The form of `object`, and what is in it.
    pub fn read(&self, object: &Object) -> (Form, C) {
        let page = self.objects.borrow()[object.index()].clone();
        let page = page.expect("it is not free");
        assert_eq!(page.0, object.form());
        page
    }

    /// Frees `object`.
    pub fn free(&self, object: Object) {
        self.read(&object);
        self.objects.borrow_mut()[object.index()] = None;
        self.free.borrow_mut().push(object.index());
        object.forget();
    }

    /// How many objects are not free.
    pub fn live(&self) -> usize {
        self.objects.borrow().iter().flatten().count()
    }
}
