use clinicalbert_core::{
    bert::{Activation, Batch, Candle, Model, Trainer, UpdateSettings},
    weights::{HostTensor, Tensors},
};
use clinicalbert_tests::reference;
use pollster::block_on;

use super::*;

#[test]
fn google_tensorflow_outputs_of_the_checkpoint_are_reproduced() {
    let Some((config, weights)) = checkpoint(Activation::GeluTanh) else { return };
    let folder = reference(CHECKPOINT).unwrap();
    let expected = tensors(folder.join("expected-google-tf.safetensors"));
    let (batch, slots) = batch(&json(folder.join("batches.json"))[0]);
    let model = Model::new(Candle::default(), &config, &weights).unwrap();
    let states = block_on(model.hidden_states(&batch)).unwrap();
    for (name, state) in [("embedding_output", 0), ("layer_0", 1), ("layer_1", 2), ("sequence_output", 2)] {
        close(name, &states[state].data, &expected[name].data);
    }
    close("pooled_output", &block_on(model.pooled(&batch)).unwrap().data, &expected["pooled_output"].data);
    let logits = block_on(model.mlm_logits(&batch, &slots.positions)).unwrap();
    let log_probs: Vec<_> = logits.data.chunks_exact(config.vocab_size).flat_map(log_softmax).collect();
    close("mlm_log_probs", &log_probs, &expected["mlm_log_probs"].data);
    let log_probs: Vec<_> = block_on(model.nsp_logits(&batch)).unwrap().data.chunks_exact(2).flat_map(log_softmax).collect();
    close("nsp_log_probs", &log_probs, &expected["nsp_log_probs"].data);

    let trainer = Trainer::new(&config, &weights, UpdateSettings::default(), 0).unwrap();
    let metrics = trainer.evaluate(&batch, &slots).unwrap().metrics(0);
    let (mlm, nsp) = (expected["mlm_loss"].data[0], expected["nsp_loss"].data[0]);
    close("mlm_loss", &[metrics.masked_lm_loss as f32], &[mlm]);
    close("nsp_loss", &[metrics.next_sentence_loss as f32], &[nsp]);
    close("loss", &[metrics.loss as f32], &[mlm + nsp]);
}

fn transformers_outputs_are_reproduced(file: &str, activation: Activation) {
    let Some((config, weights)) = checkpoint(activation) else { return };
    let folder = reference(CHECKPOINT).unwrap();
    let expected = tensors(folder.join(file));
    let (batch, _) = batch(&json(folder.join("batches.json"))[0]);
    let model = Model::new(Candle::default(), &config, &weights).unwrap();
    for (index, state) in block_on(model.hidden_states(&batch)).unwrap().iter().enumerate() {
        let name = format!("hidden_states_{index}");
        close(&name, &attended(state, &batch), &attended(&expected[&name], &batch));
    }
    close("pooler_output", &block_on(model.pooled(&batch)).unwrap().data, &expected["pooler_output"].data);
    close(
        "seq_relationship_logits",
        &block_on(model.nsp_logits(&batch)).unwrap().data,
        &expected["seq_relationship_logits"].data,
    );
    let everywhere: Vec<_> = (0..(batch.rows * batch.length) as u32).collect();
    let logits = block_on(model.mlm_logits(&batch, &everywhere)).unwrap();
    close("prediction_logits", &attended(&logits, &batch), &attended(&expected["prediction_logits"], &batch));
}

#[test]
fn transformers_outputs_with_tanh_gelu_are_reproduced() {
    transformers_outputs_are_reproduced("expected-hf-gelu-tanh.safetensors", Activation::GeluTanh);
}

#[test]
fn transformers_outputs_with_erf_gelu_are_reproduced() {
    transformers_outputs_are_reproduced("expected-hf-gelu-erf.safetensors", Activation::Gelu);
}

/// What `hf_golden.json` and `tf_golden.json` have in common.
fn golden_outputs_are_reproduced(expected: &serde_json::Value, activation: Activation) -> Option<(Model<Candle>, Batch)> {
    let (config, weights) = golden(activation)?;
    let (batch, slots) = batch(&json(reference(GOLDEN)?.join("tf_golden.json"))["batch0"]);
    let model = Model::new(Candle::default(), &config, &weights).unwrap();
    let sequence = block_on(model.last_hidden_state(&batch)).unwrap();
    let first: Vec<_> = (0..3).flat_map(|position| row(&sequence, 0, position)).copied().collect();
    close("sequence_output_row0", &first, &numbers(&expected["sequence_output_row0"]));
    close(
        "sequence_output_row3_lastpos",
        row(&sequence, 3, batch.length - 1),
        &numbers(&expected["sequence_output_row3_lastpos"]),
    );
    close("pooled_output", &block_on(model.pooled(&batch)).unwrap().data, &numbers(&expected["pooled_output"]));
    let trainer = Trainer::new(&config, &weights, UpdateSettings::default(), 0).unwrap();
    let metrics = trainer.evaluate(&batch, &slots).unwrap().metrics(0);
    close_number("masked_lm_loss", metrics.masked_lm_loss, &expected["masked_lm_loss"]);
    close_number("next_sentence_loss", metrics.next_sentence_loss, &expected["next_sentence_loss"]);
    Some((model, batch))
}

#[test]
fn golden_tensorflow_outputs_are_reproduced() {
    let Some(folder) = reference(GOLDEN) else { return };
    let golden = json(folder.join("tf_golden.json"));
    let expected = &golden["forward_batch0"];
    let (model, inputs) = golden_outputs_are_reproduced(expected, Activation::GeluTanh).unwrap();
    let (_, slots) = batch(&golden["batch0"]);
    let states = block_on(model.hidden_states(&inputs)).unwrap();
    let two = |state: &HostTensor| [row(state, 0, 0), row(state, 0, 1)].concat();
    close("embedding_output_row0", &two(&states[0]), &numbers(&expected["embedding_output_row0"]));
    close("layer0_row0", &two(&states[1]), &numbers(&expected["layer0_row0"]));
    let logits = block_on(model.mlm_logits(&inputs, &slots.positions)).unwrap();
    let log_probs: Vec<_> = logits.data.chunks_exact(model.config().vocab_size).map(log_softmax).collect();
    close("masked_lm_log_probs_first", &log_probs[0], &numbers(&expected["masked_lm_log_probs_first"]));
    let losses: Vec<_> = log_probs.iter().zip(&slots.ids).map(|(row, id)| -row[*id as usize]).collect();
    close("masked_lm_example_loss", &losses, &numbers(&expected["masked_lm_example_loss"]));
}

#[test]
fn golden_transformers_outputs_are_reproduced() {
    let Some(folder) = reference(GOLDEN) else { return };
    let golden = json(folder.join("hf_golden.json"));
    for (key, activation) in [("gelu", Activation::Gelu), ("gelu_new", Activation::GeluTanh)] {
        let expected = &golden[key];
        let (model, inputs) = golden_outputs_are_reproduced(expected, activation).unwrap();
        close(
            "seq_relationship_logits",
            &block_on(model.nsp_logits(&inputs)).unwrap().data,
            &numbers(&expected["seq_relationship_logits"]),
        );
        let logits = block_on(model.mlm_logits(&inputs, &[0])).unwrap();
        close("prediction_logits_row0_pos0", &logits.data, &numbers(&expected["prediction_logits_row0_pos0"]));
    }
}

#[test]
fn weights_without_heads_say_which_is_missing() {
    let Some((config, weights)) = checkpoint(Activation::Gelu) else { return };
    let encoder: Tensors = weights.into_iter().filter(|(name, _)| !name.starts_with("cls.")).collect();
    let model = Model::new(Candle::default(), &config, &encoder).unwrap();
    assert!(model.heads().pooler && !model.heads().mlm && !model.heads().nsp);
    let batch = Batch::from_rows([(&[2_u32, 5, 3][..], &[0_u8; 3][..])]).unwrap();
    assert!(block_on(model.mlm_logits(&batch, &[1])).unwrap_err().to_string().contains("cls.predictions"));
    assert!(block_on(model.nsp_logits(&batch)).unwrap_err().to_string().contains("cls.seq_relationship"));
}

/// The rows of the first batch, each alone and without padding, give what they give in the batch.
#[test]
fn single_equals_batched_and_unpadded_equals_padded() {
    let Some((config, weights)) = checkpoint(Activation::Gelu) else { return };
    let (batch, _) = batch(&json(reference(CHECKPOINT).unwrap().join("batches.json"))[0]);
    let model = Model::new(Candle::default(), &config, &weights).unwrap();
    let whole = block_on(model.last_hidden_state(&batch)).unwrap();
    for index in 0..batch.rows {
        let cells = index * batch.length..(index + 1) * batch.length;
        let used = batch.attention_mask[cells.clone()].iter().filter(|mask| **mask == 1).count();
        let (ids, types) = (&batch.input_ids[cells.clone()][..used], &batch.token_type_ids[cells][..used]);
        let alone = block_on(model.last_hidden_state(&Batch::from_rows([(ids, types)]).unwrap())).unwrap();
        let expected: Vec<_> = (0..used).flat_map(|position| row(&whole, index, position)).copied().collect();
        close("alone", &alone.data, &expected);
    }
}

#[test]
fn batches_that_do_not_fit_are_refused() {
    let Some((config, weights)) = checkpoint(Activation::Gelu) else { return };
    let model = Model::new(Candle::default(), &config, &weights).unwrap();
    let refused =
        |ids: &[u32], types: &[u8]| block_on(model.pooled(&Batch::from_rows([(ids, types)]).unwrap())).unwrap_err().to_string();
    assert!(refused(&[2, 200], &[0, 0]).contains("token id 200 must be below 200"));
    assert!(refused(&[2, 3], &[0, 2]).contains("segment type 2 must be below 2"));
    assert!(refused(&[2; 49], &[0; 49]).contains("49 tokens are longer than the model's max_position_embeddings 48"));
    let batch = Batch::from_rows([(&[2_u32, 3][..], &[0_u8, 0][..])]).unwrap();
    assert!(block_on(model.mlm_logits(&batch, &[2])).unwrap_err().to_string().contains("position 2 must be below 2"));
}
