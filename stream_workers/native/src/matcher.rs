//! `BrandMatcher.find_hits`: which patterns occur in a text as whole words, outside links and addresses.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};
use memchr::{memchr, memchr_iter, memchr2, memmem, memrchr};

use crate::folding::{ALNUM, Characters, UNSPACED, WORD, is_first};

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
    /// Whether a candidate in an ASCII text is a hit; in another text only Python decides. None: in any text.
    in_ascii: Option<bool>,
    /// Index of its list of endings.
    endings: usize,
}

/// Of each pattern what a candidate must satisfy, as the properties of `BrandMatcher` return it.
pub struct Conditions {
    pub kinds: Vec<String>,
    pub plain: Vec<bool>,
    pub in_ascii: Vec<Option<bool>>,
    pub endings: Vec<Vec<String>>,
    pub endings_of: Vec<usize>,
}

pub struct Matcher {
    automaton: NFA,
    start: StateID,
    start_filter: StartFilter,
    patterns: Vec<Pattern>,
    endings: Vec<Vec<String>>,
    longest_chunk: usize,
}

/// Which patterns may start at a position of a text. This test rejects most positions.
///
/// A bit is a group of patterns. Each table holds, for a byte, the groups that may have it at that position. Eight
/// positions are looked up before one branch: the processor mispredicts a branch at each word's end.
struct StartFilter {
    before: [u8; 256],
    first_bytes: [[u8; 256]; 3],
}

/// The group of the patterns that start with a non-ASCII character: these may start inside a word.
const BEYOND: u8 = 1 << 7;

impl StartFilter {
    fn of(patterns: &[String], characters: &Characters) -> Self {
        let mut groups = [0; 256];
        let mut next = (0..7).cycle();
        let mut positions = [[0; 256]; 3];
        for pattern in patterns {
            let bytes = pattern.as_bytes();
            let group = &mut groups[usize::from(bytes[0])];
            if *group == 0 {
                *group = if bytes[0].is_ascii() { 1 << next.next().unwrap_or(0) } else { BEYOND };
            }
            for (at, position) in positions.iter_mut().enumerate() {
                match bytes.get(at) {
                    Some(byte) => position[usize::from(*byte)] |= *group,
                    None => position.iter_mut().for_each(|groups| *groups |= *group),
                }
            }
        }
        let before = std::array::from_fn(|byte| if characters.is_ascii_word(byte as u8) { BEYOND } else { u8::MAX });
        Self { before, first_bytes: positions }
    }

    /// Whether a pattern may start at the second of these four bytes.
    fn may_start(&self, around: &[u8]) -> bool {
        let [before, first, second, third] = *around else { return false };
        let [firsts, seconds, thirds] = &self.first_bytes;
        self.before[usize::from(before)]
            & firsts[usize::from(first)]
            & seconds[usize::from(second)]
            & thirds[usize::from(third)]
            != 0
    }

    /// Positions after the first byte of *normalized* where a pattern may start. One branch per eight positions.
    fn positions<'t>(&'t self, normalized: &'t [u8]) -> impl Iterator<Item = usize> + 't {
        let may_start = |position: &usize| self.may_start(&normalized[position - 1..position + 3]);
        let chunks = (0..normalized.len().saturating_sub(8 + 2)).step_by(8);
        chunks
            .filter(|at| normalized[*at..at + 8 + 3].windows(4).fold(false, |any, around| any | self.may_start(around)))
            .flat_map(move |at| (at + 1..at + 9).filter(may_start))
    }
}

/// A normalized text, padded with spaces, and the patterns found in it. Reused from text to text.
#[derive(Default)]
pub struct Scratch {
    pub normalized: Vec<u8>,
    /// Whether the text was ASCII before it was normalized.
    pub ascii: bool,
    hits: Vec<u32>,
    uncertain: Vec<u32>,
}

/// Whether a candidate is a hit; None where only Python's expression for links, addresses and handles decides.
type IsHit = Option<bool>;

struct Candidate {
    start: usize,
    end: usize,
    pattern: Pattern,
}

impl Matcher {
    pub fn new(
        patterns: &[String],
        conditions: Conditions,
        longest_chunk: usize,
        characters: &Characters,
    ) -> Result<Self, String> {
        let kind = |kind: &String| match kind.as_str() {
            "" => Ok(Kind::Term),
            "@" => Ok(Kind::Handle),
            "#" => Ok(Kind::Hashtag),
            _ => Err(format!("{kind:?} is not a kind of pattern")),
        };
        if patterns.iter().any(|pattern| pattern.is_empty() || pattern.starts_with(' ') || pattern.ends_with(' ')) {
            return Err("a pattern is empty, or starts or ends with a space".to_owned());
        }
        let automaton =
            NFA::builder().match_kind(MatchKind::Standard).build(patterns).map_err(|error| error.to_string())?;
        let start = automaton.start_state(Anchored::Yes).map_err(|error| error.to_string())?;
        let Conditions { kinds, plain, in_ascii, endings, endings_of } = conditions;
        let kinds = kinds.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
        let start_filter = StartFilter::of(patterns, characters);
        let patterns = kinds
            .into_iter()
            .zip(plain)
            .zip(in_ascii.into_iter().zip(endings_of))
            .map(|((kind, plain), (in_ascii, endings))| Pattern { kind, plain, in_ascii, endings })
            .collect();
        Ok(Self { automaton, start, start_filter, patterns, endings, longest_chunk })
    }

    /// The ends and numbers of the patterns that start at *start*.
    fn patterns_at<'t>(&'t self, normalized: &'t [u8], start: usize) -> impl Iterator<Item = (usize, u32)> + 't {
        let mut state = self.start;
        let states = (start + 1..).zip(&normalized[start..]).map(move |(end, byte)| {
            state = self.automaton.next_state(Anchored::Yes, state, *byte);
            (end, state)
        });
        states
            .take_while(|(_, state)| !self.automaton.is_special(*state) || !self.automaton.is_dead(*state))
            .filter(|(_, state)| self.automaton.is_special(*state))
            .flat_map(move |(end, state)| self.whole(state, end - start).map(move |number| (end, number)))
    }

    /// The patterns of *length* that end in *state*. Shorter ones that end there started later in the text.
    fn whole(&self, state: StateID, length: usize) -> impl Iterator<Item = u32> + '_ {
        let number = if self.automaton.is_match(state) { self.automaton.match_len(state) } else { 0 };
        (0..number)
            .map(move |index| self.automaton.match_pattern(state, index))
            .filter(move |number| self.automaton.pattern_len(*number) == length)
            .map(|number| number.as_u32())
    }

    /// The numbers of the patterns that have a hit in `scratch.normalized`, ascending.
    pub fn find_patterns<'f>(&self, scratch: &'f mut Scratch, characters: &Characters) -> Option<&'f [u32]> {
        let Scratch { normalized, ascii, hits, uncertain } = scratch;
        hits.clear();
        uncertain.clear();
        let (endings, longest_chunk) = (&self.endings, self.longest_chunk);
        let mut text = Text { normalized, ascii: *ascii, characters, endings, longest_chunk, has_links: None };
        for start in self.start_filter.positions(normalized) {
            for (end, number) in self.patterns_at(normalized, start) {
                match text.is_hit(&Candidate { start, end, pattern: self.patterns[number as usize] }) {
                    Some(true) => hits.push(number),
                    Some(false) => (),
                    None => uncertain.push(number),
                }
            }
        }
        hits.sort_unstable();
        hits.dedup();
        // An uncertain candidate changes nothing if its pattern has a certain hit elsewhere.
        uncertain.iter().all(|number| hits.binary_search(number).is_ok()).then_some(hits)
    }
}

struct Text<'a> {
    normalized: &'a [u8],
    ascii: bool,
    characters: &'a Characters,
    endings: &'a [Vec<String>],
    longest_chunk: usize,
    has_links: Option<bool>,
}

impl Text<'_> {
    fn is_hit(&mut self, hit: &Candidate) -> IsHit {
        match (self.is_keyword(hit), hit.pattern.in_ascii) {
            (Some(true), Some(in_ascii)) => self.ascii.then_some(in_ascii),
            (found, _) => found,
        }
    }

    fn is_keyword(&mut self, hit: &Candidate) -> IsHit {
        if self.normalized[hit.start - 1] == b' ' && self.normalized[hit.end] == b' ' && hit.pattern.plain {
            return Some(true);
        }
        if !self.is_whole_word(hit) {
            return Some(false);
        }
        if self.has_links() { self.is_outside_links(hit) } else { Some(true) }
    }

    fn has_links(&mut self) -> bool {
        let normalized = self.normalized;
        *self.has_links.get_or_insert_with(|| {
            memchr2(b'@', b'/', normalized).is_some() || memmem::find(normalized, b"www.").is_some()
        })
    }

    fn is_whole_word(&self, hit: &Candidate) -> bool {
        let kind = hit.pattern.kind;
        let before = self.characters.class_before(self.normalized, hit.start);
        if joins(before, self.characters.class_at(self.normalized, hit.start), kind) {
            return false;
        }
        let after = self.characters.class_at(self.normalized, hit.end);
        if joins(after, self.characters.class_before(self.normalized, hit.end), kind) {
            let hashtag = kind == Kind::Hashtag || self.normalized[hit.start - 1] == b'#';
            return hashtag && self.has_ending(hit);
        }
        // `@united.com` and `@united@an.instance` are other accounts; `@united.` ends a sentence.
        !(kind == Kind::Handle
            && matches!(self.normalized[hit.end], b'.' | b'@')
            && self.characters.class_at(self.normalized, hit.end + 1) & WORD != 0)
    }

    /// Whether the hashtag goes on with one of the pattern's endings, and ends there.
    fn has_ending(&self, hit: &Candidate) -> bool {
        let rest = &self.normalized[hit.end..];
        self.endings[hit.pattern.endings].iter().any(|ending| {
            rest.starts_with(ending.as_bytes())
                && self.characters.class_at(self.normalized, hit.end + ending.len()) & WORD == 0
        })
    }

    fn is_outside_links(&self, hit: &Candidate) -> IsHit {
        let handle = hit.pattern.kind == Kind::Handle;
        if !handle
            && self.normalized[hit.start - 1] == b'@'
            && self.characters.class_at(self.normalized, hit.start) & ALNUM != 0
        {
            return Some(false);
        }
        let left = memrchr(b' ', &self.normalized[..hit.start])? + 1;
        let right = hit.end + memchr(b' ', &self.normalized[hit.end..])?;
        let chunk = &self.normalized[left..right];
        if is_longer(chunk, self.longest_chunk) {
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

/// Whether *chunk* starts with a link that extends to *at*, and at least one character beyond its scheme.
fn in_link(chunk: &[u8], at: usize) -> bool {
    [&b"https://"[..], b"http://"].iter().any(|scheme| {
        let link = chunk.get(..=at.max(scheme.len()));
        chunk.starts_with(scheme) && link.is_some_and(|link| link.iter().all(u8::is_ascii_graphic))
    })
}

fn joins(neighbour: u8, edge: u8, kind: Kind) -> bool {
    neighbour & WORD != 0 && neighbour & UNSPACED == 0 && (kind == Kind::Handle || edge & UNSPACED == 0)
}
