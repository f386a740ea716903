// SPDX-License-Identifier: GPL-2.0

//! Makes an object smaller, with the second compressor of its pool.
//!
//! What is made goes to a backing store in its place, see [`crate::writeback::batch`], or takes its place in
//! memory, see [`crate::writeback::recompressor`]. An object that does not get smaller stays as it is.

use crate::{
    contents::cache::Cache,
    core::payload::{
        Coder,
        Form,
        Length, //
    },
    kernel_ext::{
        block::buffer::{
            Block,
            BlockBuffer, //
        },
        mm::zsmalloc::ZsObject,
    },
};
use kernel::prelude::*;

/// Memory to make objects smaller, one at a time. Each of the two is a page of its own, as compressors of
/// the kernel may want it.
pub(crate) struct Recoder {
    /// A copy of an object.
    object: BlockBuffer,
    /// Its page; then the smaller object.
    room: BlockBuffer,
}

/// A copy of an object that the first compressor made.
pub(crate) struct ObjectCopy<'a> {
    object: &'a [u8],
    form: Form,
    room: &'a mut Block,
}

impl Recoder {
    /// One, if `cache` has a second compressor.
    ///
    /// Context: may sleep. Errors: [`ENOMEM`].
    pub(crate) fn new(cache: &Cache) -> Result<Option<Self>> {
        if !cache.has_second() {
            return Ok(None);
        }
        Ok(Some(Self {
            object: BlockBuffer::new(1)?,
            room: BlockBuffer::new(1)?,
        }))
    }

    /// Copies `object`, which the caller holds, out of `cache`: of a share of a bundle its own object.
    ///
    /// Context: may sleep for a stream of the CPU, where it is a share; none is taken.
    pub(crate) fn copy(&mut self, cache: &Cache, object: &ZsObject) -> Result<ObjectCopy<'_>> {
        let room = self.object.bytes_mut();
        let form = if object.is_share() {
            Form {
                length: cache.unpack_to(object, room)?,
                coder: Coder::First,
            }
        } else {
            let copy = room.get_mut(..object.form().length.bytes());
            cache.copy_to(object, copy.ok_or(EINVAL)?)?;
            object.form()
        };
        let copy = room.get(..form.length.bytes()).ok_or(EINVAL)?;
        Ok(ObjectCopy {
            object: copy,
            form,
            room: self.room.blocks_mut().first_mut().ok_or(EINVAL)?,
        })
    }
}

impl ObjectCopy<'_> {
    /// What was copied, and what made it.
    pub(crate) fn data(&self) -> (&[u8], Coder) {
        (self.object, self.form.coder)
    }

    /// What the second compressor makes of the page, if that takes less; else the copy.
    ///
    /// Context: may sleep for streams of the CPU; none is taken.
    pub(crate) fn recode(&mut self, cache: &Cache) -> (&[u8], Form) {
        let smaller = cache.recode(self.object, self.form, self.room);
        let smaller = smaller.and_then(|data| Some((data, Length::new(data.len())?)));
        match smaller {
            Some((data, length)) => {
                let coder = Coder::Second;
                (data, Form { length, coder })
            }
            None => (self.object, self.form),
        }
    }
}
