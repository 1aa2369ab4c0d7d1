//! From documents to pairs of segments with their masks, in the order of Google's draws.
//!
//! An [`Instance`] says where its segments lie in the corpus instead of copying them. Both are unbroken runs of tokens, so an instance
//! of a billion-token corpus takes a hundred bytes, and the final shuffle can be done on instances kept in a file.

use super::{
    Example, Masking, Settings, Vocabulary,
    corpus::{Corpus, TokenId},
    masking::{Mask, Masker, Pair},
    python_random::{Draws, PythonRandom},
};
use crate::{Error, Result};

/// An unbroken run of tokens of the corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Segment {
    /// Place of the first token among all tokens of the corpus.
    pub start: u64,
    /// Number of tokens.
    pub length: u32,
}

impl Segment {
    fn between(start: u64, end: u64) -> Self {
        Self { start, length: u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX) }
    }
}

/// Where an example lies in the corpus and what is hidden in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// A.
    pub first: Segment,
    /// B.
    pub second: Segment,
    /// Whether B is from elsewhere (label 1) rather than the actual next text (label 0).
    pub is_random_next: bool,
    /// What is hidden, by position.
    pub masks: Vec<Mask>,
}

impl Instance {
    /// The two segments in the corpus that the instance was made from.
    pub fn pair<'a, Id: TokenId>(&self, corpus: &Corpus<'a, Id>) -> Pair<'a, Id> {
        let ids = |segment: Segment| corpus.ids(segment.start, segment.length as usize);
        Pair { first: ids(self.first), second: ids(self.second) }
    }

    /// Writes the example out into `example`, whose memory is used again.
    pub fn fill<Id: TokenId>(&self, corpus: &Corpus<'_, Id>, vocabulary: &Vocabulary, example: &mut Example) {
        let pair = self.pair(corpus);
        let ids = &mut example.input_ids;
        ids.clear();
        ids.push(vocabulary.classify);
        ids.extend(pair.first.iter().map(|&id| id.into()));
        ids.push(vocabulary.separator);
        example.first_segment_length = ids.len();
        ids.extend(pair.second.iter().map(|&id| id.into()));
        ids.push(vocabulary.separator);
        example.is_random_next = self.is_random_next;
        example.hide(&self.masks);
    }
}

/// Makes the instances of a corpus one after another.
///
/// Google's program shuffles them at the end. So does its caller here: read [`Instances::next_instance`] to the end, keep the instances in
/// that order (in memory, or packed in a file), then take them in [`Instances::final_order`] and deal them to the output files in turn.
pub struct Instances<'a, Id> {
    corpus: Corpus<'a, Id>,
    settings: &'a Settings,
    vocabulary: &'a Vocabulary,
    random: PythonRandom,
    /// Documents in shuffled order; Google's document indices are places in here.
    order: Vec<u32>,
    /// Documents gone through in all passes, and the count at which to stop.
    documents_done: usize,
    documents_to_do: usize,
    /// Next sentence of the current document.
    sentence: usize,
    /// Tokens that a chunk of the current document aims at.
    target: usize,
    made: u64,
    masker: Masker,
    instance: Instance,
}

impl<'a, Id: TokenId> Instances<'a, Id> {
    /// Shuffles the documents and gets ready for the first.
    ///
    /// # Errors
    /// [`Error::Examples`] if the settings cannot work, the vocabulary is empty, or there is no document.
    pub fn new(corpus: Corpus<'a, Id>, settings: &'a Settings, vocabulary: &'a Vocabulary) -> Result<Self> {
        settings.check()?;
        let documents = u32::try_from(corpus.document_count())
            .map_err(|_| Error::Examples(format!("expected fewer than 2^32 documents, found {}", corpus.document_count())))?;
        if documents == 0 || vocabulary.entries.is_empty() {
            return Err(Error::Examples(format!(
                "expected at least one document and one vocabulary entry, found {documents} and {}",
                vocabulary.entries.len()
            )));
        }
        let mut random = PythonRandom::new(settings.random_seed);
        let mut order: Vec<u32> = (0..documents).collect();
        random.shuffle(&mut order);
        Ok(Self {
            corpus,
            settings,
            vocabulary,
            random,
            documents_done: 0,
            documents_to_do: order.len().saturating_mul(settings.dupe_factor),
            order,
            sentence: 0,
            target: 0,
            made: 0,
            masker: Masker::default(),
            instance: Instance::default(),
        })
    }

    /// The next instance in the order of making; `None` when all passes are done.
    pub fn next_instance(&mut self) -> Option<&Instance> {
        while self.documents_done < self.documents_to_do {
            let place = self.documents_done % self.order.len();
            let offsets = self.document(place);
            if self.sentence == 0 {
                self.target = self.draw_target();
            }
            if self.sentence + 1 < offsets.len() {
                self.cut(place, offsets);
                self.made += 1;
                // Where masks are drawn later none are drawn here: there is no original to be equal to.
                if self.settings.masking == Masking::Static {
                    let pair = self.instance.pair(&self.corpus);
                    self.masker.mask(&pair, self.settings, self.vocabulary, &mut self.random, &mut self.instance.masks);
                }
                return Some(&self.instance);
            }
            self.documents_done += 1;
            self.sentence = 0;
        }
        None
    }

    /// Share of the work that is done, 0 to 1.
    pub fn progress(&self) -> f64 {
        self.documents_done as f64 / self.documents_to_do.max(1) as f64
    }

    /// Number of instances made so far.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// The last shuffle: for every place of the output, the number of the instance (in the order of making) that goes there.
    /// `order` has [`Instances::made`] places; with a billion tokens it is better a mapped file.
    ///
    /// # Errors
    /// [`Error::Examples`] if instances are still to be made, there are 2^32 of them or more, or `order` has another length.
    pub fn final_order(mut self, order: &mut [u32]) -> Result<()> {
        if self.documents_done < self.documents_to_do {
            return Err(Error::Examples("all instances must be made before they are shuffled".into()));
        }
        if u32::try_from(self.made).is_err() {
            return Err(Error::Examples(format!(
                "at most 2^32 - 1 examples can be shuffled, {} were made; use shards",
                self.made
            )));
        }
        if order.len() as u64 != self.made {
            return Err(Error::Examples(format!("expected {} places for the order, found {}", self.made, order.len())));
        }
        for (place, number) in order.iter_mut().zip(0..) {
            *place = number;
        }
        self.random.shuffle(order);
        Ok(())
    }

    /// Offsets of the sentences of the document at a place of the shuffled order.
    fn document(&self, place: usize) -> &'a [u64] {
        self.order.get(place).map_or(&[], |&document| self.corpus.offsets(document as usize))
    }

    fn draw_target(&mut self) -> usize {
        let most = self.settings.segment_tokens();
        if self.random.random() < self.settings.short_seq_prob { self.random.randint(2, most) } else { most }
    }

    /// Cuts the next pair from the document at `place`, starting with `self.sentence`, and moves on behind the sentences it used.
    fn cut(&mut self, place: usize, offsets: &[u64]) {
        let at = |sentence: usize| offsets.get(sentence).copied().unwrap_or_default();
        let start = self.sentence;
        // The chunk ends with the first sentence that brings it to the target, or with the document.
        let rest = offsets.get(start + 1..).unwrap_or(&[]);
        let reached = rest.iter().position(|&end| end - at(start) >= self.target as u64);
        let sentences = reached.map_or(rest.len(), |before| before + 1);

        let in_first = if sentences >= 2 { self.random.randint(1, sentences - 1) } else { 1 };
        self.instance.first = Segment::between(at(start), at(start + in_first));
        self.instance.is_random_next = sentences == 1 || self.random.random() < 0.5;
        if self.instance.is_random_next {
            self.instance.second = self.draw_second(place);
            // Sentences that were read for B are given back.
            self.sentence = start + in_first;
        } else {
            self.instance.second = Segment::between(at(start + in_first), at(start + sentences));
            self.sentence = start + sentences;
        }
        self.truncate();
    }

    /// A B from another document. After ten draws of the same document that one is used, and still counts as random.
    fn draw_second(&mut self, place: usize) -> Segment {
        let wanted = self.target.saturating_sub(self.instance.first.length as usize) as u64;
        let mut other = place;
        for _ in 0..10 {
            other = self.random.below(self.order.len());
            if other != place {
                break;
            }
        }
        let offsets = self.document(other);
        let first = self.random.below(offsets.len().saturating_sub(1));
        let start = offsets.get(first).copied().unwrap_or_default();
        let ends = offsets.get(first + 1..).unwrap_or(&[]);
        let end = ends.iter().find(|&&end| end - start >= wanted).or(ends.last());
        Segment::between(start, end.copied().unwrap_or(start))
    }

    /// Shortens the longer segment, token by token, at either end by chance, until both fit.
    fn truncate(&mut self) {
        let Instance { first, second, .. } = &mut self.instance;
        let most = self.settings.segment_tokens();
        while first.length as usize + second.length as usize > most {
            let longer = if first.length > second.length { &mut *first } else { &mut *second };
            longer.length -= 1;
            if self.random.random() < 0.5 {
                longer.start += 1;
            }
        }
    }
}

/// All examples of a corpus in their final order, in memory; for corpora that fit.
///
/// # Errors
/// Those of [`Instances::new`] and [`Instances::final_order`].
pub fn make_examples<Id: TokenId>(corpus: Corpus<'_, Id>, settings: &Settings, vocabulary: &Vocabulary) -> Result<Vec<Example>> {
    let mut instances = Instances::new(corpus, settings, vocabulary)?;
    let mut made = Vec::new();
    while let Some(instance) = instances.next_instance() {
        made.push(instance.clone());
    }
    let mut order = vec![0; made.len()];
    instances.final_order(&mut order)?;
    let example = |&number: &u32| {
        let mut example = Example::default();
        made.get(number as usize)?.fill(&corpus, vocabulary, &mut example);
        Some(example)
    };
    Ok(order.iter().filter_map(example).collect())
}
