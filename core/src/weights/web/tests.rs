//! What is written is what arrives, in any encoding, in shards and pieces of any size.

use super::*;
use crate::{
    Error, FileFault,
    bert::{Config, Encoding, initialize},
    weights::{Dtype, HostTensor, Tensors, load},
};

/// Odd sizes, so that rows end nowhere in particular.
pub(super) fn config() -> Config {
    Config {
        vocab_size: 9,
        hidden_size: 4,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 7,
        max_position_embeddings: 5,
        initializer_range: 0.5,
        ..Config::default()
    }
}

/// A manifest and its shards.
pub(super) fn written(encoding: Encoding, shard_bytes: usize) -> (Manifest, Vec<Vec<u8>>) {
    write_tensors(&initialize(&config(), 1), encoding, shard_bytes).unwrap()
}

fn write_tensors(tensors: &Tensors, encoding: Encoding, shard_bytes: usize) -> crate::Result<(Manifest, Vec<Vec<u8>>)> {
    let tokenizer = TokenizerFacts { vocabulary: NamedFile::of("vocab.txt", b"[PAD]\n"), is_cased: true, max_length: 5 };
    let description = Description { config: config(), tokenizer, source: Source::default() };
    let mut shards = Vec::new();
    let manifest = write(&description, tensors, encoding, shard_bytes, |_, bytes| {
        shards.push(bytes.to_vec());
        Ok::<_, Error>(())
    })?;
    Ok((manifest, shards))
}

fn slices(shards: &[Vec<u8>]) -> Vec<&[u8]> {
    shards.iter().map(Vec::as_slice).collect()
}

#[test]
fn full_precision_comes_back_bit_for_bit_and_the_others_as_their_rows_say() {
    let tensors = initialize(&config(), 1);
    for (encoding, shard_bytes) in [(Encoding::F32, 1000), (Encoding::F16, 77), (Encoding::Int8, 1 << 20)] {
        let (manifest, shards) = written(encoding, shard_bytes);
        let read = load(&WebWeights::open(&manifest, &slices(&shards)).unwrap(), Some(&config())).unwrap().tensors;
        assert_eq!(read.len(), tensors.len());
        for (name, tensor) in &tensors {
            let expected = match encoding.of(std::slice::from_ref(&parameter(name))) {
                Encoding::F32 => tensor.clone(),
                encoding => by_rows(encoding, tensor),
            };
            assert_eq!(read[name], expected, "{encoding:?} {name}");
        }
    }
}

fn parameter(name: &str) -> crate::bert::Parameter {
    crate::bert::parameters(&config()).into_iter().find(|parameter| parameter.name == name).unwrap()
}

fn by_rows(encoding: Encoding, tensor: &HostTensor) -> HostTensor {
    let mut data = Vec::new();
    for row in tensor.data.chunks(tensor.shape[1]) {
        let mut bytes = Vec::new();
        encoding.encode(row, &mut bytes);
        encoding.decode(&bytes, &mut data);
    }
    HostTensor { shape: tensor.shape.clone(), data }
}

#[test]
fn shards_have_equal_sizes_names_that_count_and_the_sums_of_their_bytes() {
    let (manifest, shards) = written(Encoding::F32, 500);
    assert_eq!(manifest.shards[0].name, format!("weights-00001-of-{:05}.bin", shards.len()));
    assert!(shards.len() > 2 && shards[..shards.len() - 1].iter().all(|shard| shard.len() == 500));
    assert_eq!(manifest.bytes, shards.iter().map(|shard| shard.len() as u64).sum::<u64>());
    assert!(manifest.shards.iter().zip(&shards).all(|(named, bytes)| named.sha256 == sha256(bytes)));
    let listed = manifest.list();
    assert_eq!((listed.len(), listed[0].dtype, &listed[0].shape[..]), (46, Dtype::F32, &[4][..]));
    // RFC 6234: SHA-256 of "abc".
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn shards_that_are_damaged_cut_short_or_missing_are_named() {
    let (manifest, mut shards) = written(Encoding::F32, 500);
    let error = |shards: &[Vec<u8>]| match WebWeights::open(&manifest, &slices(shards)).unwrap_err() {
        Error::File { name, fault } => (name, fault),
        other => panic!("{other}"),
    };
    assert!(matches!(error(&shards[..1]), (name, FileFault::Missing) if name == manifest.shards[1].name));
    shards[1][7] ^= 1;
    assert!(matches!(error(&shards), (name, FileFault::Hash { .. }) if name == manifest.shards[1].name));
    shards[1].pop();
    assert!(matches!(error(&shards), (_, FileFault::Size { expected: 500, found: 499 })));
}

#[test]
fn values_beyond_half_precision_are_an_error_there_and_nowhere_else() {
    let mut tensors = initialize(&config(), 1);
    tensors.get_mut("bert.pooler.dense.weight").unwrap().data[3] = 1e5;
    let told = write_tensors(&tensors, Encoding::F16, 1000).unwrap_err().to_string();
    assert!(told.contains("bert.pooler.dense.weight") && told.contains("65504"), "{told}");
    assert!(write_tensors(&tensors, Encoding::Int8, 1000).is_ok());
}

#[cfg(feature = "candle")]
mod on_a_machine {
    use pollster::block_on;

    use super::*;
    use crate::bert::{Batch, Candle, Model};

    fn hidden(model: &Model<Candle>) -> Vec<f32> {
        let batch = Batch::from_rows([(&[1, 2, 3, 8][..], &[0, 0, 1, 1][..]), (&[4, 5], &[0, 0])]).unwrap();
        block_on(model.last_hidden_state(&batch)).unwrap().data
    }

    fn push_all(loader: &mut Loader<Candle>, shards: &[Vec<u8>], piece: usize) -> crate::Result<()> {
        shards
            .iter()
            .enumerate()
            .try_for_each(|(number, shard)| shard.chunks(piece).try_for_each(|part| loader.push(number, part)))
    }

    #[test]
    fn a_streamed_model_computes_what_one_from_tensors_does_however_it_is_cut() {
        let tensors = initialize(&config(), 1);
        for encoding in [Encoding::F32, Encoding::F16, Encoding::Int8] {
            let expected = hidden(&Model::encoded(Candle::default(), &config(), &tensors, encoding).unwrap());
            for (shard_bytes, piece) in [(1 << 20, 1 << 20), (1000, 333), (77, 13), (1 << 20, 1)] {
                let (manifest, shards) = written(encoding, shard_bytes);
                let mut loader = Loader::new(Candle::default(), manifest.clone()).unwrap();
                push_all(&mut loader, &shards, piece).unwrap();
                assert_eq!(loader.loaded_bytes(), manifest.bytes);
                let model = loader.finish().unwrap();
                assert_eq!(hidden(&model), expected, "{encoding:?}, shards of {shard_bytes}, pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_goes_wrong_on_the_way_is_told_apart_and_ends_the_load() {
        let (manifest, shards) = written(Encoding::Int8, 300);
        let loader = || Loader::new(Candle::default(), manifest.clone()).unwrap();
        let fault = |error: Error| match error {
            Error::File { name, fault } => (manifest.shards.iter().position(|shard| shard.name == name).unwrap(), fault),
            other => panic!("{other}"),
        };
        let mut skipped = loader();
        skipped.push(0, &shards[0]).unwrap();
        assert!(matches!(fault(skipped.push(2, &shards[2]).unwrap_err()), (1, FileFault::Missing)));
        assert!(skipped.push(1, &shards[1]).unwrap_err().to_string().contains("failed already"));

        let mut short = loader();
        short.push(0, &shards[0][..9]).unwrap();
        assert!(matches!(fault(short.push(1, &shards[1]).unwrap_err()), (0, FileFault::Size { expected: 300, found: 9 })));

        let mut long = loader();
        let too_much = [&shards[0][..], &[0]].concat();
        assert!(matches!(fault(long.push(0, &too_much).unwrap_err()), (0, FileFault::Size { expected: 300, found: 301 })));

        let mut repeated = loader();
        repeated.push(0, &shards[0]).unwrap();
        assert!(matches!(fault(repeated.push(0, &[0]).unwrap_err()), (0, FileFault::Size { .. })));

        let mut damaged = loader();
        let mut wrong = shards.clone();
        wrong[1][299] ^= 0x40;
        assert!(matches!(fault(push_all(&mut damaged, &wrong, 50).unwrap_err()), (1, FileFault::Hash { .. })));

        let mut ended = loader();
        ended.push(0, &shards[0]).unwrap();
        assert!(matches!(fault(ended.finish().err().unwrap()), (1, FileFault::Missing)));
        assert!(loader().push(99, &[0]).unwrap_err().to_string().contains("numbered from 0"));
    }
}
