// SPDX-License-Identifier: GPL-2.0

//! What is promised of messages: that none is taken for another.

use ghostswap_core::log::GENERATION_BITS;
use ghostswap_core::message::{
    protect_plain,
    verify_plain,
    Message,
    MessageError, //
};
use ghostswap_core::segment::{
    Owner,
    Record,
    BLOCK,
    SEGMENT,
    TAG,
    UNIT, //
};
use ghostswap_core::PAGE_SIZE;
use proptest::prelude::*;

use crate::config;
use crate::model::crc32c;
use crate::segment::{
    any_generation,
    any_owner, //
};

fn any_record() -> impl Strategy<Value = Record> {
    (0..SEGMENT / UNIT, any_owner(), 1..=PAGE_SIZE).prop_map(|(unit, owner, length)| Record {
        unit,
        owner,
        length,
    })
}

#[test]
fn a_nonce_is_the_one_of_the_documentation() {
    let record = Record {
        unit: 0x1_2345,
        owner: Owner {
            area: 0x67,
            slot: 0x89ab_cdef,
        },
        length: 1,
    };
    let generation = 0x15_5555_5555;
    assert!(generation < 1 << GENERATION_BITS);
    // 0x67 << 56 | 0x12345 << 39 | 0x1555555555, and the slot.
    let place = 0x67u64 << 56 | 0x1_2345 << 39 | generation;
    let message = Message::object(generation, &record);
    assert_eq!(message.nonce()[..8], place.to_le_bytes());
    assert_eq!(message.nonce()[8..], [0xef, 0xcd, 0xab, 0x89]);
    let index = Message::index(generation, record.unit);
    let place = 0xffu64 << 56 | 0x1_2345 << 39 | generation;
    assert_eq!(index.nonce()[..8], place.to_le_bytes());
    assert_eq!(index.nonce()[8..], [0xff; 4]);
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn at_another_place_or_time_the_first_half_of_the_nonce_is_another(
        (generation, one) in (any_generation(), any_record()),
        (other_generation, other) in (any_generation(), any_record()),
        bit in 0..GENERATION_BITS + (SEGMENT / UNIT).ilog2(),
    ) {
        let place = |generation, record| Message::object(generation, record).nonce()[..8].to_vec();
        if (generation, one.unit) != (other_generation, other.unit) {
            prop_assert_ne!(place(generation, &one), place(other_generation, &other));
        }
        // Also if but one bit is another, and an index of one place is no index of another.
        let near = match bit.checked_sub(GENERATION_BITS) {
            None => (generation ^ 1 << bit, one.unit),
            Some(bit) => (generation, one.unit ^ 1 << bit),
        };
        let moved = Record { unit: near.1, ..one };
        prop_assert_ne!(place(generation, &one), place(near.0, &moved));
        let index = |(generation, unit)| Message::index(generation, unit).nonce()[..8].to_vec();
        prop_assert_ne!(index((generation, one.unit)), index(near));
        prop_assert_ne!(place(near.0, &moved), index((generation, one.unit)));
    }

    #[test]
    fn a_message_lies_where_its_record_does(record in any_record(), generation in any_generation()) {
        let message = Message::object(generation, &record);
        let begin = record.unit * UNIT;
        prop_assert_eq!(message.block(), begin / BLOCK);
        let range = message.range();
        prop_assert_eq!(message.block() * BLOCK + range.start, begin);
        prop_assert_eq!(range.len(), record.length.div_ceil(UNIT) * UNIT);
        prop_assert!(range.end + TAG <= 2 * BLOCK);
    }

    #[test]
    fn a_reader_gets_what_it_wants_or_an_error(
        (generation, record) in (any_generation(), any_record()),
        other_generation in any_generation(),
        other in any_record(),
        byte in any::<u8>(),
        (at, bit) in (any::<prop::sample::Index>(), 0..8u32),
    ) {
        let message = Message::object(generation, &record);
        let mut blocks = vec![byte; 2 * BLOCK];
        protect_plain(&mut blocks, &message, crc32c).expect("there is room");
        let content = vec![byte; message.range().len()];
        prop_assert_eq!(verify_plain(&blocks, &message, crc32c), Ok(&content[..]));

        // In the same place, but of another time, another slot, or another place of the log.
        let padded = record.length.div_ceil(UNIT) * UNIT;
        let in_place = |unit: usize| unit / 256 * 256 + record.unit % 256;
        let owner = Owner { area: other.owner.area, ..record.owner };
        for (generation, wanted) in [
            (other_generation, record),
            (generation, Record { owner, ..record }),
            (generation, Record { owner: other.owner, ..record }),
            (generation, Record { unit: in_place(other.unit), ..record }),
        ] {
            let wanted = Message::object(generation, &wanted);
            if wanted.nonce() != message.nonce() {
                prop_assert_eq!(verify_plain(&blocks, &wanted, crc32c), Err(MessageError::Other));
            }
        }
        let index = Message::index(generation, record.unit);
        prop_assert!(verify_plain(&blocks, &index, crc32c).is_err());
        if other.length.div_ceil(UNIT) * UNIT != padded {
            let wanted = Record { length: other.length, ..record };
            let wanted = Message::object(generation, &wanted);
            prop_assert!(verify_plain(&blocks, &wanted, crc32c).is_err());
        }

        let range = message.range();
        let cut = &blocks[..range.end + TAG - 1];
        prop_assert_eq!(verify_plain(cut, &message, crc32c), Err(MessageError::Short));
        let mut cut = cut.to_vec();
        prop_assert_eq!(protect_plain(&mut cut, &message, crc32c), None);

        blocks[range.start + at.index(range.len() + TAG)] ^= 1 << bit;
        prop_assert!(verify_plain(&blocks, &message, crc32c).is_err());
    }
}
