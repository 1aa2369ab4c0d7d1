//! Loops over slices on all threads with the processor's best instructions.

/// Runs `work` on one of the worker threads, if there are any: the hundreds of short loops of an update then start without first waking a
/// thread from outside.
#[cfg(feature = "candle")]
pub fn on_a_worker<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(not(target_family = "wasm"))]
    return rayon::scope(|_| work());
    #[cfg(target_family = "wasm")]
    work()
}

/// Zeros, written by all threads.
pub fn zeros(count: usize) -> Vec<f32> {
    #[cfg(not(target_family = "wasm"))]
    {
        use rayon::prelude::*;
        // A block is long enough to be worth a thread.
        (0..count).into_par_iter().with_min_len(1 << 16).map(|_| 0.0).collect()
    }
    #[cfg(target_family = "wasm")]
    vec![0.0; count]
}

/// Runs `work` on every chunk of `size` values and its number. Chunks, not threads, decide on the order of sums.
///
/// Closures should be `#[inline(always)]`, so that they are compiled for the chosen instruction set.
pub fn for_chunks<T: Send>(values: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync + Send) {
    let arch = pulp::Arch::new();
    let run = |(index, chunk): (usize, &mut [T])| arch.dispatch(Chunk { work: &work, index, chunk });
    #[cfg(not(target_family = "wasm"))]
    {
        use rayon::prelude::*;
        values.par_chunks_mut(size.max(1)).enumerate().for_each(run);
    }
    #[cfg(target_family = "wasm")]
    values.chunks_mut(size.max(1)).enumerate().for_each(run);
}

/// A closure and its arguments. A plain closure would reach the vector code through a call that is not inlined, and would then be
/// compiled for the oldest processor.
struct Chunk<'a, T, F> {
    work: &'a F,
    index: usize,
    chunk: &'a mut [T],
}

impl<T, F: Fn(usize, &mut [T])> pulp::NullaryFnOnce for Chunk<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        (self.work)(self.index, self.chunk);
    }
}

/// As [`for_chunks`], on two slices that are cut into equally many chunks.
#[cfg(feature = "candle")]
pub fn for_chunk_pairs<T: Send, U: Send>(
    (first, first_size): (&mut [T], usize),
    (second, second_size): (&mut [U], usize),
    work: impl Fn(usize, &mut [T], &mut [U]) + Sync + Send,
) {
    let mut pairs: Vec<_> = first.chunks_mut(first_size.max(1)).zip(second.chunks_mut(second_size.max(1))).collect();
    for_chunks(
        &mut pairs,
        1,
        #[inline(always)]
        |index, pair| {
            if let [(first, second)] = pair {
                work(index, first, second);
            }
        },
    );
}

/// Rows of `width` values that one chunk holds: about 64 KiB.
pub fn rows_per_chunk(width: usize) -> usize {
    (16_384 / width.max(1)).max(1)
}
