//! Words that scispaCy's tokenizer keeps or cuts by list: contractions, titles, states, emoticons.
//!
//! Data of spaCy 2.0.18 (`lang/tokenizer_exceptions.py`, `lang/en/tokenizer_exceptions.py`) and scispacy 0.1.0 (`consts.py`).

use std::collections::HashMap;
use std::sync::LazyLock;

/// The longest listed word is an emoticon of 39 bytes.
const LONGEST: usize = 40;

/// Byte lengths of the tokens into which a listed word falls, or `None` for a word that is not listed.
pub(super) fn pieces(word: &str) -> Option<&'static [usize]> {
    if word.len() > LONGEST {
        return None;
    }
    LISTED.get(word).map(Vec::as_slice)
}

static LISTED: LazyLock<HashMap<String, Vec<usize>>> = LazyLock::new(|| {
    let mut listed = Listed::default();
    listed.base();
    listed.pronouns();
    listed.question_words();
    listed.verbs();
    listed.others();
    for word in words("Ill ill Its its Hell hell Shell shell Shed shed were Were Well well Whore whore") {
        listed.0.remove(word);
    }
    for word in words("sec. secs. Sec. Secs. fig. figs. Fig. Figs. eq. eqs. Eq. Eqs. no. nos. No. Nos. al.") {
        listed.add(&[word]);
    }
    listed.0
});

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split_ascii_whitespace()
}

/// The word, and the word with a capital first letter.
fn cased(word: &str) -> [String; 2] {
    let mut title = word.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    [word.to_owned(), title]
}

#[derive(Default)]
struct Listed(HashMap<String, Vec<usize>>);

impl Listed {
    /// Lists the word made of these tokens, with the straight and the typographic apostrophe.
    fn add(&mut self, tokens: &[&str]) {
        let word = tokens.concat();
        if word.contains('\'') {
            let curly: Vec<String> = tokens.iter().map(|token| token.replace('\'', "’")).collect();
            self.0.insert(curly.concat(), curly.iter().map(String::len).collect());
        }
        self.0.insert(word, tokens.iter().map(|token| token.len()).collect());
    }

    /// Each contraction with and without its apostrophes.
    fn contractions(&mut self, word: &str, endings: &[&[&str]]) {
        for first in cased(word) {
            for ending in endings {
                let mut tokens = vec![first.as_str()];
                tokens.extend_from_slice(ending);
                self.add(&tokens);
                let bare: Vec<String> = tokens.iter().map(|token| token.replace('\'', "")).collect();
                self.add(&bare.iter().map(String::as_str).collect::<Vec<_>>());
            }
        }
    }

    fn base(&mut self) {
        for word in [" ", "\t", "\\t", "\n", "\\n", "\u{2014}", "\u{a0}", "'", "\\\")", "<space>", "''", "C++", "ä.", "ö.", "ü."]
        {
            self.add(&[word]);
        }
        for letter in 'a'..='z' {
            self.add(&[&format!("{letter}.")]);
        }
        let emoticons = r":) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-((
            :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3
            :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o
            o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ)
            ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>";
        for emoticon in words(emoticons) {
            self.add(&[emoticon]);
        }
    }

    fn pronouns(&mut self) {
        self.contractions("i", &[&["'m"], &["'m", "a"]]);
        for pronoun in words("i you he she it we they") {
            self.contractions(pronoun, &[&["'ll"], &["'ll", "'ve"], &["'d"], &["'d", "'ve"]]);
        }
        for pronoun in words("i you we they") {
            self.contractions(pronoun, &[&["'ve"]]);
        }
        for pronoun in words("you we they") {
            self.contractions(pronoun, &[&["'re"]]);
        }
        for pronoun in words("he she it") {
            self.contractions(pronoun, &[&["'s"]]);
        }
    }

    fn question_words(&mut self) {
        for word in words("who what when where why how there that") {
            self.contractions(word, &[&["'s"], &["'ll"], &["'ll", "'ve"], &["'re"], &["'ve"], &["'d"], &["'d", "'ve"]]);
        }
    }

    fn verbs(&mut self) {
        for verb in words("ca could do does did had may might must need ought sha should wo would") {
            self.contractions(verb, &[&["n't"], &["n't", "'ve"]]);
        }
        for verb in words("could might must should would") {
            self.contractions(verb, &[&["'ve"]]);
        }
        for verb in words("ai are is was were have has dare") {
            self.contractions(verb, &[&["n't"]]);
        }
    }

    fn others(&mut self) {
        for word in words("doin goin nothin nuthin ol somethin lovin havin") {
            for word in cased(word) {
                self.add(&[&word]);
                self.add(&[&format!("{word}'")]);
            }
        }
        for hour in 1..=12 {
            for half in ["a.m.", "am", "p.m.", "pm"] {
                self.add(&[&hour.to_string(), half]);
            }
        }
        for tokens in [
            "y' all|y all|how 'd 'y|How 'd 'y|not 've|not ve|Not 've|Not ve|can not|Can not|gon na|Gon na|got ta|Got ta|let 's|Let 's",
        ]
        .iter()
        .flat_map(|list| list.split('|'))
        {
            self.add(&words(tokens).collect::<Vec<_>>());
        }
        let kept = "cause em ll nuff 'cause 'em 'll 'nuff 'S 's ‘S ‘s and/or w/o 're 'Cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am
            o'clock O'clock Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun.
            Kan. Kans. Ky. La. Mar. Mass. May. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C.
            Sep. Sept. Tenn. Va. Wash. Wis. 'd a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd.
            Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Rep. Rev. Sen. St. vs.";
        for word in words(kept) {
            self.add(&[word]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contractions_fall_into_their_words_and_excluded_words_stay_whole() {
        assert_eq!(pieces("don't"), Some([2, 3].as_slice()));
        assert_eq!(pieces("Don’t"), Some([2, 5].as_slice()));
        assert_eq!(pieces("they'll've"), Some([4, 3, 3].as_slice()));
        assert_eq!(pieces("id"), Some([1, 1].as_slice()));
        assert_eq!(pieces("10p.m."), Some([2, 4].as_slice()));
        assert_eq!(pieces("were"), None);
        assert!(LISTED.keys().all(|word| word.len() <= LONGEST));
    }
}
