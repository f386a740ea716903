// SPDX-License-Identifier: GPL-2.0

//! The inputs that fuzzing begins with, and those with which it found a bug.

use crate::input;

#[test]
fn every_input_of_the_corpus_is_read_as_it_should_be() {
    let mut inputs = 0;
    for line in include_str!("../../corpus").lines() {
        let digits: Vec<_> = (line.chars().take_while(|c| *c != '#'))
            .filter(|c| !c.is_whitespace())
            .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
            .collect();
        let bytes: Vec<_> = digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect();
        if !bytes.is_empty() {
            println!("{line}");
            input::check(&bytes);
            inputs += 1;
        }
    }
    assert!(inputs > 0);
}
