//! Examples against Google's `create_pretraining_data.py` and TensorFlow's own record files.

use std::{fs, io::Read, path::Path};

use clinicalbert_core::{
    examples::{
        Example, Settings,
        corpus::{Documents, decode_ignoring_errors},
        instances::{Instance, Instances, make_examples},
        packed::Packing,
        python_random::{Draws, PythonRandom},
        tf_example::{self, Encoder, Shape},
        tfrecord,
    },
    tokenizer::{Case, WordPiece},
};
use clinicalbert_tests::reference;
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn unpacked(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn documents(word_piece: &WordPiece, files: &[Vec<u8>]) -> Documents<u16> {
    let mut encoder = word_piece.encoder();
    let mut documents = Documents::default();
    for file in files {
        documents.push_lines(&decode_ignoring_errors(file), |line, ids| encoder.append_ids(line, ids)).unwrap();
    }
    documents.end_document();
    documents
}

/// Deals examples to files in turn, as Google's writer does.
fn record_files(examples: &[Example], settings: &Settings, files: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(Shape::from(settings));
    let mut bytes = vec![Vec::new(); files];
    for (number, example) in examples.iter().enumerate() {
        let mut written = Ok(());
        tfrecord::append_with(&mut bytes[number % files], |bytes| written = encoder.append(example, bytes));
        written.unwrap();
    }
    bytes
}

fn read_back(file: &[u8]) -> Vec<Example> {
    let read = |record: clinicalbert_core::Result<&[u8]>| {
        let mut example = Example::default();
        tf_example::decode(record.unwrap(), &mut example).unwrap();
        example
    };
    tfrecord::Records::new(file).map(read).collect()
}

#[test]
fn the_generator_draws_what_cpython_draws() {
    let Some(path) = reference("spec/golden/python_rng.json") else { return };
    let golden = json(&path);
    let list = |name: &str| golden[name].as_array().unwrap().clone();
    let mut random = PythonRandom::new(golden["seed"].as_u64().unwrap());
    // The JSON reader rounds the last bit of a number; the unit tests compare exactly.
    let same = |drawn: f64, expected: &Value| assert!((drawn - expected.as_f64().unwrap()).abs() < 1e-15, "{drawn} {expected}");
    list("random").iter().for_each(|expected| same(random.random(), expected));
    for (name, low, high) in [("randint_2_125", 2, 125), ("randint_0_28995", 0, 28_995)] {
        for expected in list(name) {
            assert_eq!(random.randint(low, high) as u64, expected.as_u64().unwrap(), "{name}");
        }
    }
    let mut items: Vec<u64> = (0..20).collect();
    random.shuffle(&mut items);
    assert_eq!(items, list("shuffle20").iter().map(|item| item.as_u64().unwrap()).collect::<Vec<_>>());
    same(random.random(), &golden["after"]);
}

#[test]
fn toy_instances_are_googles_with_and_without_whole_words() {
    let Some(path) = reference("spec/golden/pretrain_instances.json") else { return };
    let folder = path.parent().unwrap();
    let word_piece = WordPiece::from_vocab(&fs::read_to_string(folder.join("toy_vocab.txt")).unwrap(), Case::Cased).unwrap();
    let documents = documents(&word_piece, &[fs::read(folder.join("toy_corpus.txt")).unwrap()]);
    for run in json(&path).as_array().unwrap() {
        let settings = toy_settings(run);
        let examples = make_examples(documents.corpus().unwrap(), &settings, &word_piece.vocabulary()).unwrap();
        let instances = run["instances"].as_array().unwrap();
        assert_eq!(examples.len(), instances.len());
        for (number, (example, instance)) in examples.iter().zip(instances).enumerate() {
            let tokens = |ids: &[u32]| -> Value { ids.iter().map(|&id| word_piece.token(id).unwrap()).collect() };
            let segments: Value = (0..example.input_ids.len()).map(|at| u8::from(at >= example.first_segment_length)).collect();
            assert_eq!(tokens(&example.input_ids), instance["tokens"], "{settings:?} instance {number}");
            assert_eq!(tokens(&example.masked_ids), instance["masked_lm_labels"], "{settings:?} instance {number}");
            assert_eq!(Value::from(example.masked_positions.clone()), instance["masked_lm_positions"]);
            assert_eq!(segments, instance["segment_ids"]);
            assert_eq!(Value::from(example.is_random_next), instance["is_random_next"]);
        }
    }
}

fn toy_settings(run: &Value) -> Settings {
    let number = |name: &str| run[name].as_u64().unwrap();
    Settings {
        max_seq_length: number("max_seq_length") as usize,
        max_predictions_per_seq: number("max_predictions_per_seq") as usize,
        masked_lm_prob: run["masked_lm_prob"].as_f64().unwrap(),
        short_seq_prob: run["short_seq_prob"].as_f64().unwrap(),
        dupe_factor: number("dupe_factor") as usize,
        random_seed: number("random_seed"),
        whole_word_mask: run["do_whole_word_mask"].as_bool().unwrap(),
        ..Settings::default()
    }
}

#[test]
fn a_file_written_by_tensorflow_holds_the_toy_examples() {
    let Some(path) = reference("spec/golden/toy.tfrecord") else { return };
    let folder = path.parent().unwrap();
    let word_piece = WordPiece::from_vocab(&fs::read_to_string(folder.join("toy_vocab.txt")).unwrap(), Case::Cased).unwrap();
    let documents = documents(&word_piece, &[fs::read(folder.join("toy_corpus.txt")).unwrap()]);
    let settings = toy_settings(&json(&folder.join("pretrain_instances.json"))[0]);
    let examples = make_examples(documents.corpus().unwrap(), &settings, &word_piece.vocabulary()).unwrap();
    let file = fs::read(path).unwrap();
    assert_eq!(read_back(&file), examples);
    // The order of features is left open there, so the same values need not be the same bytes, but must be as many.
    assert_eq!(record_files(&examples, &settings, 1)[0].len(), file.len());
}

struct Run {
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    case: Case,
    settings: Settings,
}

fn runs() -> [Run; 3] {
    let defaults = Settings::default();
    [
        Run {
            inputs: &["a-input.txt.gz"],
            outputs: &["a.tfrecord.gz"],
            case: Case::Cased,
            settings: Settings { max_predictions_per_seq: 20, random_seed: 12345, dupe_factor: 5, ..defaults.clone() },
        },
        Run {
            inputs: &["b-input-1.txt.gz", "b-input-2.txt.gz"],
            outputs: &["b-0.tfrecord.gz", "b-1.tfrecord.gz"],
            case: Case::Cased,
            settings: Settings {
                whole_word_mask: true,
                max_seq_length: 64,
                max_predictions_per_seq: 10,
                short_seq_prob: 0.25,
                random_seed: 7,
                dupe_factor: 2,
                ..defaults.clone()
            },
        },
        Run {
            inputs: &["b-input-1.txt.gz"],
            outputs: &["c.tfrecord.gz"],
            case: Case::Uncased,
            settings: Settings {
                max_seq_length: 512,
                max_predictions_per_seq: 77,
                random_seed: 2024,
                dupe_factor: 1,
                ..defaults
            },
        },
    ]
}

#[test]
fn real_text_gives_googles_bytes() {
    let (Some(folder), Some(vocab)) = (reference("data/pretraining-data"), reference("data/vocab/bert-base-cased-vocab.txt"))
    else {
        return;
    };
    let vocab = fs::read_to_string(vocab).unwrap();
    for run in runs() {
        let word_piece = WordPiece::from_vocab(&vocab, run.case).unwrap();
        let inputs: Vec<Vec<u8>> = run.inputs.iter().map(|name| unpacked(&folder.join(name))).collect();
        let documents = documents(&word_piece, &inputs);
        let examples = make_examples(documents.corpus().unwrap(), &run.settings, &word_piece.vocabulary()).unwrap();
        let files = record_files(&examples, &run.settings, run.outputs.len());
        for (name, bytes) in run.outputs.iter().zip(&files) {
            assert!(*bytes == unpacked(&folder.join(name)), "{name}: {} bytes made", bytes.len());
        }
    }
}

#[test]
fn features_in_tensorflows_own_order_are_read() {
    let Some(folder) = reference("data/pretraining-data") else { return };
    let [ours, theirs] = ["a.tfrecord.gz", "a-as-written-by-tf.tfrecord.gz"].map(|name| unpacked(&folder.join(name)));
    assert!(ours != theirs);
    assert!(read_back(&ours) == read_back(&theirs));
}

#[test]
fn instances_that_waited_in_a_file_give_the_same_examples() {
    let Some(path) = reference("spec/golden/toy_corpus.txt") else { return };
    let vocab = fs::read_to_string(path.with_file_name("toy_vocab.txt")).unwrap();
    let word_piece = WordPiece::from_vocab(&vocab, Case::Cased).unwrap();
    let documents = documents(&word_piece, &[fs::read(path).unwrap()]);
    let (corpus, vocabulary) = (documents.corpus().unwrap(), word_piece.vocabulary());
    let settings = Settings { max_seq_length: 32, ..Settings::default() };
    let packing = Packing::new(&settings, word_piece.vocab_size());
    let mut file = Vec::new();
    let mut instances = Instances::new(corpus, &settings, &vocabulary).unwrap();
    while let Some(instance) = instances.next_instance() {
        packing.append(instance, &mut file).unwrap();
    }
    let records: Vec<&[u8]> = file.chunks(packing.record_length()).collect();
    let read = |&number: &u32| {
        let (mut instance, mut example) = (Instance::default(), Example::default());
        packing.read(records[number as usize], &mut instance).unwrap();
        instance.fill(&corpus, &vocabulary, &mut example);
        example
    };
    let mut order = vec![0; instances.made() as usize];
    instances.final_order(&mut order).unwrap();
    let read: Vec<Example> = order.iter().map(read).collect();
    assert_eq!(read, make_examples(corpus, &settings, &vocabulary).unwrap());
}
