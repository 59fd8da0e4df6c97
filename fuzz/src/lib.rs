//! What the fuzz targets do with their input, and what they hold the engine to.
//!
//! Generators, damage and the simple reference are those of the engine's tests:
//! an input that the fuzzer has found can be tried there as well.

#[path = "../../worker/engine/tests/support/draw.rs"]
mod draw;
#[path = "../../worker/engine/tests/support/expected.rs"]
mod expected;
#[path = "../../worker/engine/tests/support/generate/mod.rs"]
mod generate;
#[path = "../../worker/engine/tests/support/mutate.rs"]
mod mutate;

mod verdict;

use arrow_array::RecordBatch;
use bytes::Bytes;
use etl_engine::{BatchEncoder, Encoder, ErrorKind, Format, NonFinite, Options};
use peak_alloc::PeakAlloc;
use serde::de::IgnoredAny;

use draw::Draw;
use generate::Size;
pub use verdict::init;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const SIZE: Size = Size {
    rows: 24,
    fields: 4,
    depth: 3,
};

/// Files whose pages stand before the footer that the input is.
const BODIES: u8 = 16;

/// The first byte chooses the pages, the others are the footer.
pub fn footer(input: &[u8]) {
    let Some((&body, footer)) = input.split_first() else {
        return;
    };
    let sound = sound_file(body % BODIES);
    let (pages, _) = mutate::regions(&sound);
    let length = u32::try_from(footer.len()).expect("inputs are small");
    let file = [&sound[..pages.end], footer, &length.to_le_bytes(), b"PAR1"].concat();
    verdict::judge(file.into(), &Options::default());
}

/// With `ETL_FUZZ_SEEDS=folder` writes the inputs of [`footer`] that are sound
/// files and ends.
pub fn write_footer_seeds() {
    let Some(folder) = std::env::var_os("ETL_FUZZ_SEEDS") else {
        return;
    };
    for body in 0..BODIES {
        let file = sound_file(body);
        let (_, footer) = mutate::regions(&file);
        let path = std::path::Path::new(&folder).join(format!("sound-{body:02}"));
        std::fs::write(path, [&[body], &file[footer]].concat()).expect("the folder is writable");
    }
    std::process::exit(0);
}

fn sound_file(number: u8) -> Vec<u8> {
    let mut draw = Draw::from_seed(number.into());
    let schema = generate::schema(&mut draw, SIZE);
    let batch = generate::batch(&mut draw, &schema, SIZE);
    let properties = generate::properties(&mut draw, &schema);
    generate::file(&schema, &[batch], properties)
}

/// The input says what the file holds, how it is laid out and where it is
/// damaged.
pub fn pages(input: &[u8]) {
    let mut draw = Draw::from_bytes(input);
    let schema = generate::schema(&mut draw, SIZE);
    let batches: Vec<RecordBatch> = (0..=draw.below(2))
        .map(|_| generate::batch(&mut draw, &schema, SIZE))
        .collect();
    let properties = generate::properties(&mut draw, &schema);
    let options = options(&mut draw);
    let sound = generate::file(&schema, &batches, properties);
    let mut damaged = sound.clone();
    mutate::mutate(&mut damaged, &mut draw);
    let output = verdict::judge(Bytes::from(damaged.clone()), &options);
    if damaged == sound {
        let expected = expected::output(&batches, options.format, options.json);
        assert_eq!(output.as_deref(), expected.ok().as_deref());
    }
}

fn options(draw: &mut Draw<'_>) -> Options {
    Options {
        format: generate::format(draw),
        json: generate::json_options(draw),
        ..Options::default()
    }
}

/// The input says what the batch holds. It may begin and end within its arrays.
pub fn encoder(input: &[u8]) {
    let mut draw = Draw::from_bytes(input);
    let options = options(&mut draw);
    let schema = generate::schema(&mut draw, SIZE);
    let batch = generate::batch(&mut draw, &schema, SIZE);
    let offset = draw.below(batch.num_rows() + 1);
    let length = draw.below(batch.num_rows() - offset + 1);
    let batch = batch.slice(offset, length);

    let columnar = encode(&batch, &options, Encoder::Columnar);
    let reference = encode(&batch, &options, Encoder::Reference);
    assert_eq!(columnar, reference);
    let Some(text) = columnar else {
        // Also for a value that a null above it hides; no file has such values.
        assert_eq!(options.json.non_finite, NonFinite::Fail);
        return;
    };
    let expected = expected::output(&[batch], options.format, options.json);
    assert_eq!(Ok(&text), expected.as_ref());
    for line in text.lines() {
        serde_json::from_str::<IgnoredAny>(line).expect("a line is JSON");
    }
}

/// `None` where a value is refused.
fn encode(batch: &RecordBatch, options: &Options, encoder: Encoder) -> Option<String> {
    let options = Options {
        encoder,
        ..options.clone()
    };
    let mut rows = Vec::new();
    if let Err(error) = BatchEncoder::new(&options).encode(batch, 0, &mut rows) {
        assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
        return None;
    }
    let rows = String::from_utf8(rows).expect("JSON is UTF-8");
    Some(match options.format {
        Format::JsonLines => rows,
        Format::JsonArray => format!("[{rows}]"),
    })
}
