//! `BrandMatcher.standing`: which words stand in a text as themselves.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use memchr::{memchr, memchr_iter, memchr2, memmem, memrchr};

use crate::folding::{ALNUM, Letters, UNSPACED, WORD, is_first};

/// As in `brandpulse.text.brand_matcher`.
const LONGEST_CHUNK: usize = 512;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Term,
    Handle,
    Hashtag,
}

#[derive(Clone, Copy)]
struct Pattern {
    kind: Kind,
    plain: bool,
}

pub struct Words {
    automaton: NFA,
    start: StateID,
    beginnings: Beginnings,
    patterns: Vec<Pattern>,
}

/// Which patterns may begin at a place in a text: most places are settled by this look.
///
/// A bit is a group of patterns; each table holds, for a byte, the groups that may have it there. All are looked
/// up, for eight places, before a branch is taken: one at each word's end is guessed wrong by the processor.
struct Beginnings {
    before: [u8; 256],
    letters: [[u8; 256]; 3],
}

/// The group of the patterns that begin beyond ASCII: these may begin inside a word.
const BEYOND: u8 = 1 << 7;

impl Beginnings {
    fn of(patterns: &[String], letters: &Letters) -> Self {
        let mut groups = [0; 256];
        let mut next = (0..7).cycle();
        let mut places = [[0; 256]; 3];
        for pattern in patterns {
            let bytes = pattern.as_bytes();
            let group = &mut groups[usize::from(bytes[0])];
            if *group == 0 {
                *group = if bytes[0].is_ascii() { 1 << next.next().unwrap_or(0) } else { BEYOND };
            }
            for (at, place) in places.iter_mut().enumerate() {
                match bytes.get(at) {
                    Some(byte) => place[usize::from(*byte)] |= *group,
                    None => place.iter_mut().for_each(|groups| *groups |= *group),
                }
            }
        }
        let before = std::array::from_fn(|byte| if letters.is_ascii_word(byte as u8) { BEYOND } else { u8::MAX });
        Self { before, letters: places }
    }

    /// Whether a pattern may begin at the second of these four bytes.
    fn may_begin(&self, around: &[u8]) -> bool {
        let [before, first, second, third] = *around else { return false };
        let [firsts, seconds, thirds] = &self.letters;
        self.before[usize::from(before)]
            & firsts[usize::from(first)]
            & seconds[usize::from(second)]
            & thirds[usize::from(third)]
            != 0
    }

    /// Where, after the first byte of *folded*, a pattern may begin: eight places for one branch.
    fn places<'t>(&'t self, folded: &'t [u8]) -> impl Iterator<Item = usize> + 't {
        let may_begin = |place: &usize| self.may_begin(&folded[place - 1..place + 3]);
        let eights = (0..folded.len().saturating_sub(8 + 2)).step_by(8);
        eights
            .filter(|at| folded[*at..at + 8 + 3].windows(4).fold(false, |any, around| any | self.may_begin(around)))
            .flat_map(move |at| (at + 1..at + 9).filter(may_begin))
    }
}

/// A folded text, between spaces, and the words found in it; kept from text to text for its room.
#[derive(Default)]
pub struct Found {
    pub folded: Vec<u8>,
    standing: Vec<u32>,
    doubtful: Vec<u32>,
}

/// Whether a hit stands; None where only the reference's expression for links, addresses and handles knows.
type Stands = Option<bool>;

struct Hit {
    start: usize,
    end: usize,
    pattern: Pattern,
}

impl Words {
    pub fn new(patterns: &[String], kinds: &[String], plain: Vec<bool>, letters: &Letters) -> Result<Self, String> {
        let kind = |kind: &String| match kind.as_str() {
            "" => Ok(Kind::Term),
            "@" => Ok(Kind::Handle),
            "#" => Ok(Kind::Hashtag),
            _ => Err(format!("{kind:?} is no kind of pattern")),
        };
        if patterns.iter().any(|pattern| pattern.is_empty() || pattern.starts_with(' ') || pattern.ends_with(' ')) {
            return Err("a pattern is empty, or a space is at its end".to_owned());
        }
        let automaton =
            NFA::builder().match_kind(MatchKind::Standard).build(patterns).map_err(|error| error.to_string())?;
        let start = automaton.start_state(Anchored::Yes).map_err(|error| error.to_string())?;
        let kinds = kinds.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
        let beginnings = Beginnings::of(patterns, letters);
        let patterns = kinds.into_iter().zip(plain).map(|(kind, plain)| Pattern { kind, plain }).collect();
        Ok(Self { automaton, start, beginnings, patterns })
    }

    /// The ends and numbers of the patterns that begin at *start*.
    fn beginning_at<'t>(&'t self, folded: &'t [u8], start: usize) -> impl Iterator<Item = (usize, u32)> + 't {
        let mut state = self.start;
        let states = (start + 1..).zip(&folded[start..]).map(move |(end, byte)| {
            state = self.automaton.next_state(Anchored::Yes, state, *byte);
            (end, state)
        });
        states
            .take_while(|(_, state)| !self.automaton.is_special(*state) || !self.automaton.is_dead(*state))
            .filter(|(_, state)| self.automaton.is_special(*state))
            .filter_map(move |(end, state)| Some((end, self.whole(state, end - start)?)))
    }

    /// The pattern of *length* that ends in *state*; shorter ones, which end there too, began later in the text.
    fn whole(&self, state: StateID, length: usize) -> Option<u32> {
        if !self.automaton.is_match(state) {
            return None;
        }
        (0..self.automaton.match_len(state))
            .map(|index| self.automaton.match_pattern(state, index))
            .find(|number| self.automaton.pattern_len(*number) == length)
            .map(|number| number.as_u32())
    }

    /// The numbers of the patterns that stand in `found.folded`, ascending.
    pub fn standing<'f>(&self, found: &'f mut Found, letters: &Letters) -> Option<&'f [u32]> {
        let Found { folded, standing, doubtful } = found;
        standing.clear();
        doubtful.clear();
        let mut text = Text { folded, letters, has_links: None };
        for start in self.beginnings.places(folded) {
            for (end, number) in self.beginning_at(folded, start) {
                match text.stands(&Hit { start, end, pattern: self.patterns[number as usize] }) {
                    Some(true) => standing.push(number),
                    Some(false) => (),
                    None => doubtful.push(number),
                }
            }
        }
        standing.sort_unstable();
        standing.dedup();
        // A doubtful hit of a word that stands elsewhere changes nothing.
        doubtful.iter().all(|number| standing.binary_search(number).is_ok()).then_some(standing)
    }
}

struct Text<'a> {
    folded: &'a [u8],
    letters: &'a Letters,
    has_links: Option<bool>,
}

impl Text<'_> {
    fn stands(&mut self, hit: &Hit) -> Stands {
        if self.folded[hit.start - 1] == b' ' && self.folded[hit.end] == b' ' && hit.pattern.plain {
            return Some(true);
        }
        if !self.stands_alone(hit) {
            return Some(false);
        }
        if self.has_links() { self.is_readable(hit) } else { Some(true) }
    }

    fn has_links(&mut self) -> bool {
        let folded = self.folded;
        *self
            .has_links
            .get_or_insert_with(|| memchr2(b'@', b'/', folded).is_some() || memmem::find(folded, b"www.").is_some())
    }

    fn stands_alone(&self, hit: &Hit) -> bool {
        let kind = hit.pattern.kind;
        let before = self.letters.kind_before(self.folded, hit.start);
        if joins(before, self.letters.kind_at(self.folded, hit.start), kind) {
            return false;
        }
        let after = self.letters.kind_at(self.folded, hit.end);
        if joins(after, self.letters.kind_before(self.folded, hit.end), kind) {
            return false;
        }
        // `@united.com` and `@united@an.instance` are other accounts; `@united.` ends a sentence.
        !(kind == Kind::Handle
            && matches!(self.folded[hit.end], b'.' | b'@')
            && self.letters.kind_at(self.folded, hit.end + 1) & WORD != 0)
    }

    fn is_readable(&self, hit: &Hit) -> Stands {
        let handle = hit.pattern.kind == Kind::Handle;
        if !handle && self.folded[hit.start - 1] == b'@' && self.letters.kind_at(self.folded, hit.start) & ALNUM != 0 {
            return Some(false);
        }
        let left = memrchr(b' ', &self.folded[..hit.start])? + 1;
        let right = hit.end + memchr(b' ', &self.folded[hit.end..])?;
        let chunk = &self.folded[left..right];
        if is_longer(chunk, LONGEST_CHUNK) {
            return Some(false);
        }
        if memchr(b'/', chunk).is_none()
            && memmem::find(chunk, b"www.").is_none()
            && memchr_iter(b'@', chunk).count() == usize::from(handle)
        {
            return Some(true);
        }
        if in_link(chunk, hit.start - left) { Some(false) } else { None }
    }
}

/// Whether *chunk* has more than *longest* characters.
fn is_longer(chunk: &[u8], longest: usize) -> bool {
    chunk.len() > 4 * longest
        || (chunk.len() > longest && chunk.iter().filter(|byte| is_first(**byte)).count() > longest)
}

/// Whether *chunk* begins with a link that goes on to *at* and, at least by one letter, beyond its scheme.
fn in_link(chunk: &[u8], at: usize) -> bool {
    [&b"https://"[..], b"http://"].iter().any(|scheme| {
        let link = chunk.get(..=at.max(scheme.len()));
        chunk.starts_with(scheme) && link.is_some_and(|link| link.iter().all(u8::is_ascii_graphic))
    })
}

fn joins(neighbour: u8, edge: u8, kind: Kind) -> bool {
    neighbour & WORD != 0 && neighbour & UNSPACED == 0 && (kind == Kind::Handle || edge & UNSPACED == 0)
}
