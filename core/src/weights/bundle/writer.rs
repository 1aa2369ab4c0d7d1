//! Writes checkpoints that Google's code starts from, or resumes.

use std::{collections::BTreeMap, io};

use super::{
    message::{BundleEntry, Header},
    table_writer,
};
use crate::{
    bert::{Config, parameters_and_classifier},
    checksum::masked_crc32c,
    weights::{ADAM_FIRST, ADAM_SECOND, Dtype, HostTensor, Slots, Tensors, elements},
};

/// What is written under a name.
enum Content<'a> {
    Values { tensor: &'a HostTensor, transposed: bool },
    Step(u64),
}

/// Writes parameters (Hugging Face names) as a TensorFlow V2 checkpoint: the values to `data`, which is to become
/// `PREFIX.data-00000-of-00001`; returns the bytes of `PREFIX.index`. Equal contents are TensorFlow's own bytes.
///
/// With `slots` Google's training code can resume from it; without, it can start from it (`init_checkpoint`).
///
/// # Errors
/// Those of `data`; [`io::ErrorKind::InvalidInput`] for a tensor that is no parameter of `config`, has another shape, or lacks a slot.
pub fn write_bundle(config: &Config, tensors: &Tensors, slots: Option<&Slots>, data: &mut impl io::Write) -> io::Result<Vec<u8>> {
    let contents = contents(config, tensors, slots)?;
    let mut index = vec![(vec![], Header::ONE_SHARD.to_vec())];
    let mut offset = 0;
    for (name, content) in contents {
        let step;
        let turned;
        let (dtype, shape, bytes): (_, _, &[u8]) = match content {
            Content::Step(value) => {
                step = value.to_le_bytes();
                (Dtype::I64, vec![], &step)
            }
            Content::Values { tensor, transposed: false } => {
                (Dtype::F32, tensor.shape.clone(), bytemuck::cast_slice(&tensor.data))
            }
            Content::Values { tensor, transposed: true } => {
                turned = tensor.transposed();
                (Dtype::F32, turned.shape.clone(), bytemuck::cast_slice(&turned.data))
            }
        };
        data.write_all(bytes)?;
        let size = bytes.len() as u64;
        let entry = BundleEntry { dtype, shape, shard: 0, offset, size, masked_crc32c: masked_crc32c(bytes) };
        index.push((name.into_bytes(), entry.encode()));
        offset += size;
    }
    Ok(table_writer::write(&index, table_writer::BLOCK_SIZE))
}

/// Everything that is to be written, sorted by TensorFlow's name as its saver does.
fn contents<'a>(config: &Config, tensors: &'a Tensors, slots: Option<&'a Slots>) -> io::Result<BTreeMap<String, Content<'a>>> {
    let mut contents = BTreeMap::new();
    let mut parameters: BTreeMap<_, _> =
        parameters_and_classifier(config).into_iter().map(|parameter| (parameter.name.clone(), parameter)).collect();
    for (name, tensor) in tensors {
        let parameter = parameters.remove(name).ok_or_else(|| invalid(name, "is no parameter of this configuration"))?;
        let mut add = |suffix: &str, tensor: &'a HostTensor| {
            if tensor.shape != parameter.shape || elements(&tensor.shape) != Some(tensor.data.len()) {
                let found = (&tensor.shape, tensor.data.len());
                return Err(invalid(
                    name,
                    format!("expected shape {:?}, found {:?} of {} values", parameter.shape, found.0, found.1),
                ));
            }
            contents.insert(parameter.tf_name.clone() + suffix, Content::Values { tensor, transposed: parameter.tf_transposed });
            Ok(())
        };
        add("", tensor)?;
        for (suffix, slot) in slots.into_iter().flat_map(|slots| [(ADAM_FIRST, &slots.first), (ADAM_SECOND, &slots.second)]) {
            add(suffix, slot.get(name).ok_or_else(|| invalid(name, format!("has no slot {suffix}")))?)?;
        }
    }
    contents.extend(slots.map(|slots| ("global_step".to_owned(), Content::Step(slots.step))));
    Ok(contents)
}

fn invalid(name: &str, reason: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("tensor {name}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bert::parameters;
    use crate::weights::{Bundle, BundleIndex, WeightsFile, load, load_slots};

    fn config() -> Config {
        Config {
            vocab_size: 7,
            hidden_size: 4,
            num_hidden_layers: 1,
            num_attention_heads: 1,
            intermediate_size: 6,
            max_position_embeddings: 5,
            ..Config::default()
        }
    }

    fn model(start: f32) -> Tensors {
        let tensor = |parameter: crate::bert::Parameter| {
            let data = (0..parameter.elements()).map(|value| start + value as f32).collect();
            (parameter.name, HostTensor { shape: parameter.shape, data })
        };
        parameters(&config()).into_iter().map(tensor).collect()
    }

    fn written(slots: Option<&Slots>) -> (Vec<u8>, Vec<u8>) {
        let mut data = Vec::new();
        let index = write_bundle(&config(), &model(0.5), slots, &mut data).unwrap();
        (index, data)
    }

    #[test]
    fn parameters_slots_and_step_are_read_back() {
        let slots = Slots { first: model(-3.0), second: model(7.0), step: 150_000 };
        let (index, data) = written(Some(&slots));
        let bundle = Bundle::open(BundleIndex::open(&index).unwrap(), vec![&data]).unwrap();
        assert_eq!(load(&bundle, Some(&config())).unwrap().tensors, model(0.5));
        assert_eq!(load_slots(&bundle, Some(&config())).unwrap(), Some(slots));
        assert_eq!(bundle.index().data_files("m"), ["m.data-00000-of-00001"]);
    }

    #[test]
    fn weights_alone_have_no_slots_and_no_step() {
        let (index, data) = written(None);
        let bundle = Bundle::open(BundleIndex::open(&index).unwrap(), vec![&data]).unwrap();
        assert_eq!(bundle.global_step().unwrap(), None);
        assert_eq!(load_slots(&bundle, None).unwrap(), None);
        assert_eq!(bundle.list().len(), model(0.0).len());
    }

    #[test]
    fn what_does_not_fit_the_configuration_is_not_written() {
        let write = |tensors: &Tensors, slots| write_bundle(&config(), tensors, slots, &mut Vec::new()).unwrap_err().to_string();
        let extra = Tensors::from([("classifier.weight".to_owned(), HostTensor::default())]);
        assert!(write(&extra, None).contains("classifier.weight: is no parameter"));
        let mut misshapen = model(0.0);
        misshapen.insert("cls.predictions.bias".into(), HostTensor { shape: vec![8], data: vec![0.0; 8] });
        assert!(write(&misshapen, None).contains("expected shape [7], found [8]"));
        assert!(write(&model(0.0), Some(&Slots::default())).contains("has no slot /adam_m"));
    }

    #[test]
    fn damaged_data_is_an_error_that_names_the_tensor() {
        let (index, data) = written(None);
        let index = BundleIndex::open(&index).unwrap();
        let cut = Bundle::open(index.clone(), vec![&data[..data.len() - 1]]).unwrap_err().to_string();
        assert!(cut.contains("tensor cls/seq_relationship/output_weights") && cut.contains("cut short"), "{cut}");
        assert!(Bundle::open(index.clone(), vec![]).unwrap_err().to_string().contains("expected 1 data files, found 0"));
        for (at, byte) in [(0, 1), (data.len() / 2, 0x80), (data.len() - 1, 4)] {
            let mut data = data.clone();
            data[at] ^= byte;
            let bundle = Bundle::open(index.clone(), vec![&data]).unwrap();
            assert!(load(&bundle, None).unwrap_err().to_string().contains("wrong checksum"));
        }
    }
}
