//! Character classes of spaCy 2.0.18's tokenizer (`lang/char_classes.py`).
//!
//! The scripts and symbols that occur in notes and papers are exact; rarer blocks (ancient signs, Latin Extended-C and later) are left out.

/// Lower-case letters of Latin, Greek and Cyrillic, and letters of scripts without case.
pub(super) fn is_alpha_lower(c: char) -> bool {
    match c {
        'a'..='z' => true,
        '\0'..='\u{7f}' => false,
        'ß'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => c.is_lowercase(),
        '\u{250}'..='\u{2af}' => c.is_lowercase() && c != '\u{294}' && c != '\u{295}',
        'α'..='ω' | 'ά'..='ί' | 'ό'..='ώ' | 'а'..='я' | 'ё' => true,
        'җ' | 'ң' | 'ү' | 'һ' | 'ә' | 'ө' => true,
        '\u{1d00}'..='\u{1d25}' | '\u{1d6b}'..='\u{1d77}' | '\u{1d79}'..='\u{1d9a}' | '\u{fb00}'..='\u{fb06}' | 'ａ'..='ｚ' => {
            true
        }
        _ => is_uncased(c),
    }
}

/// Upper-case letters of Latin, Greek and Cyrillic, and letters of scripts without case.
pub(super) fn is_alpha_upper(c: char) -> bool {
    match c {
        'A'..='Z' => true,
        '\0'..='\u{7f}' => false,
        'À'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => c.is_uppercase(),
        'Α'..='Ω' => c != '\u{3a2}',
        'Ά' | 'Έ'..='Ί' | 'Ό' | 'Ύ' | 'Ώ' | 'А'..='Я' | 'Ё' => true,
        'Җ' | 'Ң' | 'Ү' | 'Һ' | 'Ә' | 'Ө' | '\u{212a}' | '\u{212b}' | 'Ａ'..='Ｚ' => true,
        _ => is_uncased(c),
    }
}

pub(super) fn is_alpha(c: char) -> bool {
    is_alpha_lower(c) || is_alpha_upper(c)
}

/// Letters of the Hebrew, Arabic, Bengali and Sinhala scripts.
fn is_uncased(c: char) -> bool {
    matches!(c,
        '\u{5d0}'..='\u{5ea}' | '\u{5ef}'..='\u{5f2}'
        | '\u{620}'..='\u{63f}' | '\u{641}'..='\u{64a}' | '\u{66e}'..='\u{66f}' | '\u{671}'..='\u{6d3}' | '\u{6d5}' | '\u{6e5}'..='\u{6e6}'
        | '\u{6ee}'..='\u{6ef}' | '\u{6fa}'..='\u{6fc}' | '\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8c9}'
        | '\u{980}' | '\u{985}'..='\u{98c}' | '\u{98f}'..='\u{990}' | '\u{993}'..='\u{9a8}' | '\u{9aa}'..='\u{9b0}' | '\u{9b2}'
        | '\u{9b6}'..='\u{9b9}' | '\u{9bd}' | '\u{9ce}' | '\u{9dc}'..='\u{9dd}' | '\u{9df}'..='\u{9e1}' | '\u{9f0}'..='\u{9f1}'
        | '\u{d85}'..='\u{d96}' | '\u{d9a}'..='\u{db1}' | '\u{db3}'..='\u{dbb}' | '\u{dbd}' | '\u{dc0}'..='\u{dc6}')
}

/// Symbols of the category So: ©, ®, °, arrows, box drawing, dingbats, emoji.
pub(super) fn is_icon(c: char) -> bool {
    matches!(c,
        '¦' | '©' | '®' | '°' | '\u{482}'
        | '\u{2100}'..='\u{2101}' | '\u{2103}'..='\u{2106}' | '\u{2108}'..='\u{2109}' | '\u{2114}' | '\u{2116}'..='\u{2117}'
        | '\u{211e}'..='\u{2123}' | '\u{2125}' | '\u{2127}' | '\u{2129}' | '\u{212e}' | '\u{213a}'..='\u{213b}' | '\u{214a}'
        | '\u{214c}'..='\u{214d}' | '\u{214f}' | '\u{218a}'..='\u{218b}'
        | '\u{2195}'..='\u{2199}' | '\u{219c}'..='\u{219f}' | '\u{21a1}'..='\u{21a2}' | '\u{21a4}'..='\u{21a5}' | '\u{21a7}'..='\u{21ad}'
        | '\u{21af}'..='\u{21cd}' | '\u{21d0}'..='\u{21d1}' | '\u{21d3}' | '\u{21d5}'..='\u{21f3}'
        | '\u{2300}'..='\u{2307}' | '\u{230c}'..='\u{231f}' | '\u{2322}'..='\u{2328}' | '\u{232b}'..='\u{237b}' | '\u{237d}'..='\u{239a}'
        | '\u{23b4}'..='\u{23db}' | '\u{23e2}'..='\u{2429}' | '\u{2440}'..='\u{244a}' | '\u{249c}'..='\u{24e9}'
        | '\u{2500}'..='\u{25b6}' | '\u{25b8}'..='\u{25c0}' | '\u{25c2}'..='\u{25f7}' | '\u{2600}'..='\u{266e}' | '\u{2670}'..='\u{2767}'
        | '\u{2794}'..='\u{27bf}' | '\u{2800}'..='\u{28ff}' | '\u{2b00}'..='\u{2b2f}' | '\u{2b45}'..='\u{2b46}' | '\u{2b4d}'..='\u{2b73}'
        | '\u{2b76}'..='\u{2bff}' | '\u{2e80}'..='\u{2e99}' | '\u{2e9b}'..='\u{2ef3}' | '\u{2f00}'..='\u{2fd5}' | '\u{2ff0}'..='\u{2fff}'
        | '\u{3004}' | '\u{3012}'..='\u{3013}' | '\u{3020}' | '\u{3200}'..='\u{321e}' | '\u{3260}'..='\u{327f}' | '\u{32c0}'..='\u{33ff}'
        | '\u{fffc}'..='\u{fffd}'
        | '\u{1f000}'..='\u{1f02b}' | '\u{1f030}'..='\u{1f093}' | '\u{1f0a0}'..='\u{1f0f5}' | '\u{1f10d}'..='\u{1f1ae}'
        | '\u{1f1e6}'..='\u{1f202}' | '\u{1f210}'..='\u{1f265}' | '\u{1f300}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1f7d8}'
        | '\u{1f7e0}'..='\u{1f7eb}' | '\u{1f800}'..='\u{1f8b1}' | '\u{1f900}'..='\u{1faff}')
}

/// Punctuation split off at both ends; brackets have conditions of their own.
pub(super) fn is_punct(c: char) -> bool {
    matches!(
        c,
        '…' | ','
            | ':'
            | ';'
            | '!'
            | '?'
            | '¿'
            | '؟'
            | '¡'
            | '<'
            | '>'
            | '_'
            | '#'
            | '*'
            | '&'
            | '。'
            | '？'
            | '！'
            | '，'
            | '、'
            | '；'
            | '：'
            | '～'
            | '·'
            | '।'
            | '،'
            | '؛'
            | '٪'
    )
}

pub(super) fn is_quote(c: char) -> bool {
    matches!(
        c,
        '\'' | '"'
            | '”'
            | '“'
            | '`'
            | '‘'
            | '´'
            | '‚'
            | '„'
            | '»'
            | '«'
            | '「'
            | '」'
            | '『'
            | '』'
            | '（'
            | '）'
            | '〔'
            | '〕'
            | '【'
            | '】'
            | '《'
            | '》'
            | '〈'
            | '〉'
    )
}

pub(super) fn is_currency(c: char) -> bool {
    matches!(c, '$' | '£' | '€' | '¥' | '฿' | '₽' | '﷼')
}

/// White space as Python's `str.isspace` sees it.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Python's `str.istitle`: capitals only after uncased characters, small letters only after cased ones, at least one cased.
pub(super) fn is_title(word: &str) -> bool {
    let mut after_cased = false;
    let mut has_cased = false;
    for c in word.chars() {
        let is_capital = c.is_uppercase() || (!c.is_lowercase() && c.is_alphabetic() && !c.to_lowercase().eq([c]));
        if (is_capital && after_cased) || (c.is_lowercase() && !after_cased) {
            return false;
        }
        after_cased = is_capital || c.is_lowercase();
        has_cased |= after_cased;
    }
    has_cased
}

/// Units split off after a number.
pub(super) const UNITS: &str = "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph \
    hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм кг г мг м/с км/ч кПа Па мбар Кб КБ \
    кб Мб МБ мб Гб ГБ гб Тб ТБ тб كم كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³ غرام جرام جم كغ ملغ كوب اكواب";
