//! A TFRecord file of `tf.train.Example`.

#![no_main]

use clinicalbert_core::examples::{Example, tf_example, tfrecord::Records};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut example = Example::default();
    for record in Records::new(bytes) {
        let Ok(record) = record else { return };
        let _ = tf_example::decode(record, &mut example);
    }
    let _ = tf_example::decode(bytes, &mut example);
});
