//! Writes an Arrow file of audio that a `command` stage can hand over: `rows FILE COUNT [reversed]`. A clip is four samples that follow from its
//! number, so that a million clips are 50 MB.
#![expect(clippy::unwrap_used, reason = "a script that cannot go on says so")]

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};

const BATCH: usize = 1 << 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [file, count, order @ ..] = &arguments[..] else {
        // `cargo bench` runs every bench without arguments.
        return;
    };
    let count: u32 = count.parse().unwrap();
    let mut clips: Vec<u32> = (0..count).collect();
    if !order.is_empty() {
        clips.reverse();
    }
    let samples = Field::new(
        "samples",
        DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true))),
        false,
    );
    let meta = [("sndpipe".to_owned(), r#"{"sample_rate":8000,"channels":1}"#.to_owned())];
    let schema = Schema::new(vec![Field::new("clip_id", DataType::Utf8, false), samples]).with_metadata(meta);
    let schema = Arc::new(schema);
    let out = std::io::BufWriter::new(fs_err::File::create(file).unwrap());
    let mut writer = FileWriter::try_new(out, &schema).unwrap();
    for batch in clips.chunks(BATCH) {
        let (mut ids, mut lists) = (StringBuilder::new(), ListBuilder::new(Float32Builder::new()));
        for clip in batch {
            ids.append_value(format!("clip-{clip:08}"));
            let [a, b, c, d] = clip.to_le_bytes().map(|byte| f32::from(byte) / 256.0);
            lists.values().append_slice(&[a, b, c, d]);
            lists.append(true);
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(lists.finish())];
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
    }
    writer.finish().unwrap();
}
