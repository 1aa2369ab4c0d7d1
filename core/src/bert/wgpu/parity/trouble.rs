//! What cannot work is an error that says so, and what comes after is not spoilt by it.

use pollster::block_on;

use super::{Options, batch, gpu, weights};
use crate::{
    Error,
    bert::{Backend, Config, Model, Nonlinearity},
};

fn tiny() -> Config {
    Config {
        vocab_size: 31,
        hidden_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 64,
        max_position_embeddings: 64,
        ..Config::default()
    }
}

#[test]
fn a_batch_beyond_the_limits_is_refused_by_name_and_a_smaller_one_still_works() {
    let Some(gpu) = gpu(Options { largest_binding: 20_000, ..Options::default() }) else { return };
    let config = tiny();
    let model = Model::new(gpu, &config, &weights(&config)).unwrap();
    let error = block_on(model.last_hidden_state(&batch(&config, &[60; 8]))).unwrap_err();
    assert!(matches!(error, Error::Limit { needed: 61_440, allowed: 20_000, .. }), "{error}");
    assert!(error.to_string().contains("maxStorageBufferBindingSize is 20000"), "{error}");
    block_on(model.last_hidden_state(&batch(&config, &[20; 2]))).unwrap();
}

#[test]
fn models_that_do_not_fit_are_refused_before_anything_is_laid_down() {
    let Some(gpu) = gpu(Options { largest_binding: 20_000, ..Options::default() }) else { return };
    let long = Config { max_position_embeddings: 512, ..tiny() };
    for (config, expected) in [
        (Config { hidden_size: 30, ..tiny() }, "hidden_size must be a multiple of 4, found 30"),
        (Config { intermediate_size: 70, ..tiny() }, "intermediate_size must be a multiple of 4, found 70"),
        (Config { hidden_size: 264, ..tiny() }, "at most 128, found 132"),
        (Config { hidden_size: 36, ..tiny() }, "multiple of 4 wide and at most 128, found 18"),
        (long, "the table of positions needs 65536, but this GPU's maxStorageBufferBindingSize is 20000"),
    ] {
        let error = Model::new(gpu.clone(), &config, &weights(&config)).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(gpu.bytes(), 0, "{expected}");
    }
}

#[test]
fn an_invalid_command_is_the_next_calls_error_and_then_forgotten() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let config = tiny();
    let model = Model::new(gpu.clone(), &config, &weights(&config)).unwrap();
    let fine = block_on(model.last_hidden_state(&batch(&config, &[9]))).unwrap();
    // A buffer that no GPU can have.
    drop(gpu.0.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 64,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    }));
    let error = block_on(model.last_hidden_state(&batch(&config, &[9]))).unwrap_err();
    assert!(matches!(error, Error::Backend(_)), "{error}");
    assert_eq!(block_on(model.last_hidden_state(&batch(&config, &[9]))).unwrap(), fine);
}

#[test]
fn a_lost_device_stays_lost_and_another_one_works() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let config = tiny();
    let model = Model::new(gpu.clone(), &config, &weights(&config)).unwrap();
    let fine = block_on(model.last_hidden_state(&batch(&config, &[9]))).unwrap();
    gpu.0.device.destroy();
    for _ in 0..2 {
        let error = block_on(model.last_hidden_state(&batch(&config, &[9]))).unwrap_err();
        assert!(matches!(error, Error::DeviceLost(_)), "{error}");
    }
    drop(model);
    let again = Model::new(super::gpu(Options::default()).unwrap(), &config, &weights(&config)).unwrap();
    assert_eq!(block_on(again.last_hidden_state(&batch(&config, &[9]))).unwrap(), fine);
}

#[test]
fn what_only_training_needs_is_refused() {
    let Some(gpu) = gpu(Options::default()) else { return };
    let values = gpu.upload_values(&[0.0; 4], &[1, 4]).unwrap();
    let labels = gpu.upload_indices(&[0]).unwrap();
    assert!(gpu.loss(&values, &labels, &values).unwrap_err().to_string().contains("computes no losses"));
    let layer = crate::bert::Linear { weight: values.clone(), bias: values.clone() };
    assert!(gpu.linear(&labels, &layer, Nonlinearity::Identity).is_err());
}
