//! Words that tell a full stop from an abbreviation's point, and those that open a sentence or leave a line unfinished.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What the point after a word may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Point {
    /// `Dr.`, `e.g.`: more must follow, so never the end of a sentence.
    Joins,
    /// `Fig.`, `Inc.`: a number, label or name may follow, so the end only before a word that opens sentences.
    Names,
    /// `no.`: an abbreviation before a number, elsewhere a word.
    Numbers,
    /// `mg.`, `hx.`: an abbreviation unless a capital follows.
    Shortens,
    /// Any other word.
    #[default]
    Ends,
}

/// What point follows `word`, by the lists; case does not count.
pub(super) fn point_after(word: &str) -> Point {
    // In capitals most entries are something else: ED, CA, MS, COL.
    let is_capitals = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_capitals
        && !matches!(word, "DR" | "DRS" | "MR" | "MRS" | "VS" | "NO" | "ST" | "JR" | "SR" | "INC" | "FIG" | "AL" | "PT" | "MT")
    {
        return Point::Ends;
    }
    roles(word).point
}

/// Whether `word` with a capital opens a sentence: closed classes, and the words with which notes speak of the patient.
pub(super) fn opens_sentence(word: &str) -> bool {
    roles(word).opens
}

/// Whether a letter or number after `word` is its name (`vitamin D`, `type 2`), not an initial or a list marker.
pub(super) fn takes_label(word: &str) -> bool {
    roles(word).takes_label
}

/// Whether no sentence ends with `word`: a line that stops here runs on.
pub(super) fn leaves_open(word: &str) -> bool {
    roles(word).leaves_open
}

const JOINS: &str = "dr drs mr mrs ms prof mt messrs mme mlle capt cmdr col gen gov hon lt maj pres rep rev sen sgt supt vs cf c.f viz ca approx \
    resp i.e e.g n° nº ssp subsp";

const NAMES: &str = "fig figs figure eq eqs eqn sec sect secs ref refs vol vols chap ch pp pg art tab tbl suppl supp app ext tel ver lot cat \
    jr sr inc ltd co corp bros st ave blvd rd dept univ assn al etc jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur \
    thurs fri ph.d esq ed eds sp spp str var cv gmbh calif mass penn conn fla wash ft exp res biol chem proc natl acad sci immunol clin mol am \
    intl soc dev";

const NUMBERS: &str = "no nos p";

const SHORTENS: &str = "a.m p.m pt pts hx dx tx rx sx fx cx bx mg mcg kg gm gms ml dl cc cm mm lb lbs oz in hr hrs min mins wk wks mo mos yr yrs \
    yo tabs cap caps susp soln inj sig disp prn po qd bid tid qid hs iv im sc sq temp wt ht abd neuro cont cont'd diff eval exam freq hosp incl \
    lab labs lat max med meds mod neg pos postop preop prev pulm rehab req rt surg tele vent vag est info conc equiv avg std dist prox ant post \
    inf sup bilat occ assoc admin amt appt asst int";

const OPENS: &str = "a an the this that these those it its he she his her hers we our they their you your i my there here who what when where why how \
    which whose in on at by for from of to with without within after before during since until upon under over among between despite through \
    throughout via per as if because although though while whereas unless once whether and but or nor so yet then thus therefore hence however \
    moreover furthermore nevertheless nonetheless finally also again still now next first second third later additionally subsequently currently \
    previously recently overall instead otherwise meanwhile indeed interestingly importantly surprisingly similarly conversely consequently \
    accordingly specifically together taken both each every either neither some any all many most more much several few other others another such \
    one two three no not none only even do does did is are was were be been will would can could should may might must has have had let please \
    patient patients pt pts denies reports states continue discharged admitted given using based results following";

const TAKES_LABEL: &str = "vitamin hepatitis type types grade stage class group groups factor protein influenza panel panels lane lanes figure \
    figures fig table phase level day days step case part section chapter zone region site exon intron cyclin cyclosporin immunoglobulin ig \
    chromosome strain number score zero";

const LEAVES_OPEN: &str = "a an the and or but nor of to in on at by for from with without into than that which who whose this these those his her their \
    its our my is are was were be been being has have had will would can could should may might must as if because when while until since between \
    about per via s/p w/ c/w r/o h/o c/o dr mr mrs ms no approximately vs every very";

/// What a word may be in a sentence.
#[derive(Debug, Clone, Copy, Default)]
struct Roles {
    point: Point,
    opens: bool,
    takes_label: bool,
    leaves_open: bool,
}

static ROLES: LazyLock<HashMap<&'static str, Roles>> = LazyLock::new(|| {
    let mut roles: HashMap<&str, Roles> = HashMap::new();
    let mut give = |list: &'static str, role: fn(&mut Roles)| {
        for word in list.split_ascii_whitespace() {
            role(roles.entry(word).or_default());
        }
    };
    give(JOINS, |roles| roles.point = Point::Joins);
    give(NAMES, |roles| roles.point = Point::Names);
    give(NUMBERS, |roles| roles.point = Point::Numbers);
    give(SHORTENS, |roles| roles.point = Point::Shortens);
    give(OPENS, |roles| roles.opens = true);
    give(TAKES_LABEL, |roles| roles.takes_label = true);
    give(LEAVES_OPEN, |roles| roles.leaves_open = true);
    roles
});

fn roles(word: &str) -> Roles {
    // As long as the longest listed word.
    let mut buffer = [0; 16];
    let Some(slot) = buffer.get_mut(..word.len()) else { return Roles::default() };
    slot.copy_from_slice(word.as_bytes());
    slot.make_ascii_lowercase();
    std::str::from_utf8(slot).ok().and_then(|word| ROLES.get(word)).copied().unwrap_or_default()
}
