//! Every primitive against plain code, with every level of the processor.

use super::*;

fn out(level: Level) -> Out {
    // No room ahead: every store has to reserve its own.
    Out::new(Vec::new(), level)
}

fn json(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap();
    serde_json::to_vec(text).unwrap()
}

#[test]
fn every_byte_at_every_place_is_escaped_as_serde_json_does() {
    for level in Level::all() {
        for length in 0..=200 {
            let text = vec![b'x'; length];
            let mut out = out(level);
            out.put_text(&text);
            assert_eq!(out.tail(0), json(&text), "{level:?}, {length} bytes");
        }
        for length in (1..70).chain([95, 96, 97, 127, 128, 129]) {
            for place in 0..length {
                for byte in 0..=0x7f_u8 {
                    let mut text = vec![b'x'; length];
                    text[place] = byte;
                    let mut out = out(level);
                    out.put_text(&text);
                    assert_eq!(out.tail(0), json(&text), "{level:?}, {byte} at {place}");
                }
            }
        }
    }
}

#[test]
fn texts_of_any_alignment_with_any_number_of_escapes_read_as_serde_json_writes_them() {
    let mut random = fastrand::Rng::with_seed(5);
    let pieces = [
        "a",
        "plain text ",
        "\"",
        "\\",
        "\n",
        "\u{1}",
        "\u{7f}",
        "é",
        "\u{1f600}",
    ];
    let mut all = String::new();
    while all.len() < 5000 {
        let known = if random.bool() { 2 } else { pieces.len() };
        for _ in 0..random.usize(..40) {
            all.push_str(pieces[random.usize(..known)]);
        }
    }
    for level in Level::all() {
        let mut out = out(level);
        for _ in 0..3_000 {
            let start = all.floor_char_boundary(random.usize(..all.len()));
            let wanted = start + random.usize(..200);
            let text = &all[start..all.floor_char_boundary(wanted.min(all.len()).max(start))];
            let before = out.len();
            out.put_text(text.as_bytes());
            assert_eq!(out.tail(before), json(text.as_bytes()), "{level:?}");
        }
    }
}

#[test]
fn text_of_nothing_but_escapes_finds_its_room() {
    for level in Level::all() {
        for text in ["\u{1}".repeat(1000), "\"".repeat(1000), "é\n".repeat(500)] {
            let mut out = out(level);
            out.put_text(text.as_bytes());
            assert_eq!(out.tail(0), json(text.as_bytes()));
        }
    }
}

/// A text of `length` bytes that depends on `seed`.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| b'a' + ((seed + index) % 26) as u8)
        .collect()
}

fn filled(column: usize) -> impl Fn(usize) -> Vec<u8> {
    move |row| pattern(column + row, (7 * column + row) % 33)
}

fn fill(cells: &mut Cells, finish: bool, text: impl Fn(usize) -> Vec<u8>) {
    for row in 0..BLOCK {
        let text = text(row);
        cells.slot(row)[..text.len()].copy_from_slice(&text);
        cells.set(row, text.len());
        assert_eq!(cells.get(row), text);
    }
    if finish {
        cells.finish(BLOCK);
    }
}

/// Texts that all fit in half a cell, and texts of all lengths.
fn shorter(column: usize) -> impl Fn(usize) -> Vec<u8> {
    move |row| pattern(column + row, (7 * column + row) % 9)
}

#[test]
fn a_run_copies_its_cells_behind_names_of_any_length_and_leaves_empty_ones_out() {
    for (level, columns) in Level::all()
        .into_iter()
        .flat_map(|l| [(l, 1), (l, 5), (l, 80)])
    {
        let names: Vec<_> = (0..columns)
            .map(|column| pattern(column, (11 * column + 1) % 80))
            .collect();
        let mut run = Run::new();
        names.iter().for_each(|name| run.push(Cells::new(name)));
        let mut out = out(level);
        let mut expected = Vec::new();
        for round in 0..3 {
            run.fill(|column, cells| match round {
                1 => fill(cells, true, shorter(column)),
                _ => fill(cells, round == 0, filled(column)),
            });
            for row in 0..BLOCK {
                out.put_run(&run, row);
                for (column, name) in names.iter().enumerate() {
                    let text = match round {
                        1 => shorter(column)(row),
                        _ => filled(column)(row),
                    };
                    if !text.is_empty() {
                        expected.extend([&name[..], &text].concat());
                    }
                }
                assert_eq!(out.tail(0), expected, "{level:?}, {columns} columns");
            }
        }
    }
}

#[test]
fn a_run_has_room_for_the_cells_that_it_is_left_with() {
    for level in Level::all() {
        let (short, long) = (b",\"a\":".to_vec(), pattern(3, 5000));
        let mut run = Run::new();
        run.push(Cells::new(&short));
        run.fill(|_, cells| {
            *cells = Cells::new(&long);
            fill(cells, true, filled(1));
        });
        let mut out = Out::new(Vec::with_capacity(64), level);
        out.put_run(&run, 1);
        let text = filled(1)(1);
        assert!(out.tail(0) == [&long[..], &text].concat(), "{level:?}");
    }
}

#[test]
fn a_series_copies_cells_of_one_column() {
    for name in [&b","[..], b"", &pattern(1, 32), &pattern(1, 33)] {
        let mut cells = Cells::new(name);
        fill(&mut cells, true, filled(3));
        for (start, end) in [(0, BLOCK), (5, 6), (9, 9), (BLOCK - 1, BLOCK)] {
            let mut out = out(Level::best());
            out.put_series(&cells, start..end);
            let texts = (start..end).map(filled(3)).filter(|text| !text.is_empty());
            let expected: Vec<u8> = texts.flat_map(|text| [name, &text].concat()).collect();
            assert_eq!(out.tail(0), expected);
        }
    }
}

#[test]
fn words_become_cells() {
    for name in [&b","[..], &pattern(1, 32), &pattern(1, 33)] {
        let mut cells = Cells::new(name);
        let words = [0, 1].map(|word| {
            std::array::from_fn(|index| {
                let text = filled(2)(index);
                let text = [&text[..], &[b'?'; 16]].concat();
                u64::from_le_bytes(*text[8 * word..].first_chunk().unwrap())
            })
        });
        let lengths = std::array::from_fn(|index| filled(2)(index).len().min(16) as u8);
        cells.fill_words(&words, &lengths);
        for index in 0..BLOCK {
            let text = filled(2)(index);
            let text = &text[..text.len().min(16)];
            assert_eq!(cells.get(index), text);
            let mut out = out(Level::best());
            out.put_series(&cells, index..index + 1);
            let expected = if text.is_empty() {
                vec![]
            } else {
                [name, text].concat()
            };
            assert_eq!(out.tail(0), expected);
        }
    }
}

#[test]
#[should_panic(expected = "a block has 32 rows")]
fn a_row_behind_the_block_is_refused() {
    let mut run = Run::new();
    run.push(Cells::new(b"a"));
    out(Level::best()).put_run(&run, BLOCK);
}

#[test]
#[should_panic(expected = "a block has 32 rows")]
fn a_series_behind_the_block_is_refused() {
    out(Level::best()).put_series(&Cells::new(b","), 0..BLOCK + 1);
}

#[test]
fn names_are_copied_whatever_their_length() {
    for length in 0..100 {
        let name = pattern(0, length);
        let mut out = out(Level::best());
        out.put(b"before");
        out.put_name(&Name::new(&name));
        assert_eq!(out.tail(6), name);
    }
}

#[test]
fn work_is_done_with_every_level() {
    struct Add<'a>(&'a mut u32);
    impl Work for Add<'_> {
        #[inline(always)]
        fn run(self) {
            *self.0 += 1;
        }
    }
    let mut done = 0;
    vectorised(Add(&mut done));
    assert_eq!(done, 1);
}
