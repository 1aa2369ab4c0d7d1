use proptest::prelude::*;

use super::*;

const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\npain\nPain\n##ful\nno\n.\n[\n]\nMASK\nα\n##ς\n##σ\n";

fn word_piece(case: Case) -> WordPiece {
    WordPiece::from_vocab(VOCAB, case).unwrap()
}

fn names(word_piece: &WordPiece, text: &str) -> Vec<String> {
    word_piece.pieces(text).unwrap().iter().map(|piece| word_piece.token(piece.id).unwrap().to_owned()).collect()
}

#[test]
fn missing_special_tokens_are_named() {
    let error = WordPiece::from_vocab("[PAD]\n[UNK]\n[CLS]\nword\n", Case::Cased).err().unwrap().to_string();
    assert!(error.contains("it has no [SEP] [MASK]"), "{error}");
    assert!(WordPiece::from_vocab("", Case::Cased).is_err());
}

#[test]
fn case_is_kept_unless_told_otherwise() {
    assert_eq!(names(&word_piece(Case::Cased), "Painful pain."), ["Pain", "##ful", "pain", "."]);
    assert_eq!(names(&word_piece(Case::Uncased), "PÁINFUL"), ["pain", "##ful"]);
}

#[test]
fn the_final_sigma_is_pythons() {
    assert_eq!(names(&word_piece(Case::Uncased), "ΑΣ ΑΣΣ."), ["α", "##ς", "α", "##σ", "##ς", "."]);
}

#[test]
fn spans_are_bytes_of_the_original_text() {
    let text = "  Pain\u{0}ful\u{a0}é pain.";
    let pieces = word_piece(Case::Cased).pieces(text).unwrap();
    let spans: Vec<&str> = pieces.iter().map(|piece| piece.span.of(text)).collect();
    assert_eq!(spans, ["Pain", "ful", "é", "pain", "."]);
}

#[test]
fn special_tokens_in_running_text_are_words_but_can_be_asked_for() {
    let word_piece = word_piece(Case::Cased);
    assert_eq!(names(&word_piece, "no [MASK]."), ["no", "[", "MASK", "]", "."]);
    let pieces = word_piece.pieces_with_special("no [MASK].").unwrap();
    assert_eq!(pieces.iter().map(|piece| piece.id).collect::<Vec<_>>(), [8, 4, 9]);
    assert_eq!(pieces[1].span, Span::new(3, 9));
}

#[test]
fn an_encoding_has_special_tokens_types_and_spans() {
    let word_piece = word_piece(Case::Cased);
    let encoding = word_piece.encode("no pain", Some("Painful."), Some(7)).unwrap();
    assert_eq!(encoding.input_ids, [2, 8, 5, 3, 6, 7, 3]);
    assert_eq!(encoding.token_type_ids, [0, 0, 0, 0, 1, 1, 1]);
    assert_eq!(encoding.spans[2], Some(Span::new(3, 7)));
    assert!(encoding.is_truncated && encoding.spans[0].is_none());
    assert!(word_piece.encode("no", None, Some(1)).is_err());
}

#[test]
fn windows_lines_repeated_entries_and_a_missing_last_newline_are_read_as_python_reads_them() {
    let vocab = format!("{}no\r\nlast", VOCAB.replace('\n', "\r\n"));
    let word_piece = WordPiece::from_vocab(&vocab, Case::Cased).unwrap();
    assert_eq!((word_piece.id("pain"), word_piece.id("no"), word_piece.id("last")), (Some(5), Some(16), Some(17)));
    assert_eq!(word_piece.vocab_size(), 18);
    // Sixteen distinct entries and `last`; `no` keeps its place and has its later id.
    let entries = word_piece.vocabulary().entries;
    assert_eq!((entries.len(), entries[8], entries[16]), (17, 16, 17));
    assert_eq!(word_piece.vocab_txt(), format!("{VOCAB}no\nlast\n"));
}

#[test]
fn a_written_tokenizer_json_reads_back_with_the_same_pieces() {
    for case in [Case::Cased, Case::Uncased] {
        let written = word_piece(case);
        let read = WordPiece::from_tokenizer_json(written.tokenizer_json().unwrap().as_bytes()).unwrap();
        let text = "No painful [MASK] Pain.";
        assert_eq!(read.pieces(text).unwrap(), written.pieces(text).unwrap());
        assert_eq!(read.pieces_with_special(text).unwrap(), written.pieces_with_special(text).unwrap());
        assert_eq!((read.case(), read.special(), read.vocab_txt()), (case, written.special(), VOCAB.into()));
    }
}

#[test]
fn other_tokenizer_files_are_explained() {
    let error = |json: &str| WordPiece::from_tokenizer_json(json.as_bytes()).err().unwrap().to_string();
    assert!(error("{").contains("expected a Hugging Face tokenizer.json"));
    let bpe = r#"{"version":"1.0","added_tokens":[],"model":{"type":"BPE","vocab":{},"merges":[]}}"#;
    assert!(error(bpe).contains("expected a model of type WordPiece"), "{}", error(bpe));
}

#[test]
fn an_encoder_gives_the_ids_of_pieces_before_and_after_it_has_met_the_words() {
    let word_piece = word_piece(Case::Uncased);
    let mut encoder = word_piece.encoder();
    let text = "No painful\tpain.pain [MASK]\n ΑΣ.α pain\u{301}ful";
    let expected: Vec<u32> = word_piece.pieces(text).unwrap().iter().map(|piece| piece.id).collect();
    for _ in 0..2 {
        let mut ids = Vec::new();
        encoder.append_ids(text, &mut ids).unwrap();
        assert_eq!(ids, expected);
    }
}

#[test]
fn a_full_memory_forgets_and_goes_on() {
    let word_piece = word_piece(Case::Cased);
    let mut encoder = word_piece.encoder();
    let mut ids = Vec::new();
    for number in 0..200_000 {
        encoder.append_ids(&format!("pain{number}"), &mut ids).unwrap();
        encoder.append_ids("pain", &mut ids).unwrap();
    }
    assert!(ids.chunks(2).all(|ids| ids == [1, 5]));
}

#[test]
fn a_trained_vocabulary_is_the_same_every_time_and_covers_its_text() {
    let texts = ["no pain no pains", "painful painless [MASK] é", "no"];
    let training = Training { size: 40, ..Training::default() };
    let vocab = train_vocabulary(texts, &training).unwrap();
    for _ in 0..5 {
        assert_eq!(train_vocabulary(texts, &training).unwrap(), vocab);
    }
    assert!(vocab.starts_with("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nA\n"), "{vocab}");
    let word_piece = WordPiece::from_vocab(&vocab, Case::Cased).unwrap();
    assert!(texts.iter().all(|text| !names(&word_piece, text).contains(&"[UNK]".to_owned())));
    assert_eq!(names(&word_piece, "pain no"), ["pain", "no"]);
}

#[test]
fn too_small_or_empty_training_is_explained() {
    let training = Training { size: 6, ..Training::default() };
    assert!(train_vocabulary(["abc"], &training).unwrap_err().to_string().contains("at least 10 vocabulary entries"));
    assert!(train_vocabulary([""], &Training::default()).is_err());
}

/// Text in which everything that the rules treat apart is frequent: blanks and controls of all kinds, accents, sigmas, ideographs,
/// punctuation in and beyond ASCII, private use.
fn awkward_text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => "[a-cA-C0-9]{1,5}",
        2 => "[ -~]{1,3}",
        3 => proptest::sample::select(vec![
            " ", "\t", "\n", "\r", "\u{b}", "\u{1c}", "\u{85}", "\u{a0}", "\u{2028}", "\u{3000}", "\u{200b}", "\u{0}", "\u{fffd}", "\u{301}", "\u{327}",
            "\u{345}", "Σ", "σ", "ς", "Α", "İ", "ß", "é", "\u{1f80}", "病", "\u{2b825}", "—", "\u{61d}", "¿", "\u{1fef}", "\u{e000}", "한", ".", "'", "[MASK]",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

const LETTERS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##a\n##b\n##c\nA\n##A\n0\n##1\ni\nss\n##ss\nσ\nς\n##σ\n##ς\nα\n##α\ne\n##e\n\u{301}\n##\u{301}\n.\n'\n[\n]\n病\n—\n\u{61d}\n`\n\u{345}\n##\u{345}\n";

proptest! {
    #[test]
    fn remembered_ids_are_the_direct_ids(texts in proptest::collection::vec(awkward_text(), 1..4)) {
        for case in [Case::Cased, Case::Uncased] {
            let google = WordPiece::from_vocab(LETTERS, case).unwrap();
            let file = WordPiece::from_tokenizer_json(google.tokenizer_json().unwrap().as_bytes()).unwrap();
            for word_piece in [&google, &file] {
                let mut encoder = word_piece.encoder();
                for text in texts.iter().chain(&texts) {
                    let direct: Vec<u32> = word_piece.pieces(text).unwrap().iter().map(|piece| piece.id).collect();
                    let mut ids = Vec::new();
                    encoder.append_ids(text, &mut ids).unwrap();
                    prop_assert_eq!(&ids, &direct);
                }
            }
        }
    }

    #[test]
    fn spans_lie_in_the_text_on_character_borders_and_in_order(text in awkward_text()) {
        for case in [Case::Cased, Case::Uncased] {
            let word_piece = WordPiece::from_vocab(LETTERS, case).unwrap();
            for pieces in [word_piece.pieces(&text).unwrap(), word_piece.pieces_with_special(&text).unwrap()] {
                for piece in &pieces {
                    prop_assert!(text.get(piece.span.start..piece.span.end).is_some(), "{piece:?}");
                }
                prop_assert!(pieces.windows(2).all(|pair| pair[0].span.start <= pair[1].span.start), "{pieces:?}");
            }
        }
    }
}
