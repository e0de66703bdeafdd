//! How alike two texts are, in every script, and the filter that drops ideas too much like an earlier one.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Keeps of `items` those whose text is less than `threshold` similar to every item kept before; order stays.
pub(super) fn filter<T>(items: Vec<T>, text: impl Fn(&T) -> &str, threshold: f64) -> Vec<T> {
    let mut kept: Vec<(T, Profile)> = Vec::with_capacity(items.len());
    for item in items {
        let profile = Profile::of(text(&item));
        if kept.iter().all(|(_, other)| profile.similarity(other) < threshold) {
            kept.push((item, profile));
        }
    }
    kept.into_iter().map(|(item, _)| item).collect()
}

/// How alike two texts are: 1.0 for the same words, 0.0 for nothing in common.
///
/// The Sørensen–Dice coefficient over the texts' parts: words and trigrams of their letters in scripts that put blanks
/// between words, pairs of characters in those that do not (Chinese, Japanese, Thai and others). Case, full-width and
/// composed forms, and punctuation make no difference.
pub fn similarity(one: &str, two: &str) -> f64 {
    Profile::of(one).similarity(&Profile::of(two))
}

/// A text as the multiset of its parts.
struct Profile {
    normal: String,
    parts: HashMap<String, u32>,
    size: u32,
}

impl Profile {
    fn of(text: &str) -> Self {
        let normal = normalised(text);
        let mut profile = Self { normal: String::new(), parts: HashMap::new(), size: 0 };
        let mut run = Vec::new();
        let mut kind = Kind::Other;
        for c in normal.chars() {
            let next = Kind::of(c);
            let joins = is_combining_mark(c) && kind != Kind::Other;
            if next != kind && !joins {
                profile.add_run(kind, &run);
                run.clear();
                kind = next;
            }
            run.push(c);
        }
        profile.add_run(kind, &run);
        profile.normal = normal;
        profile
    }

    fn add_run(&mut self, kind: Kind, run: &[char]) {
        match kind {
            Kind::Other => {}
            Kind::Dense if run.len() == 1 => self.add(run.iter().collect()),
            Kind::Dense => run.windows(2).for_each(|pair| self.add(pair.iter().collect())),
            Kind::Word => {
                let padded: Vec<char> = std::iter::once(' ').chain(run.iter().copied()).chain([' ']).collect();
                padded.windows(3).for_each(|three| self.add(three.iter().collect()));
                // Four blanks set whole words apart from trigrams.
                self.add(format!("    {}", run.iter().collect::<String>()));
            }
        }
    }

    fn add(&mut self, part: String) {
        *self.parts.entry(part).or_default() += 1;
        self.size += 1;
    }

    fn similarity(&self, other: &Self) -> f64 {
        if self.normal == other.normal {
            return 1.0;
        }
        let total = self.size + other.size;
        if self.size == 0 || other.size == 0 {
            return 0.0;
        }
        let common: u32 =
            self.parts.iter().map(|(part, count)| other.parts.get(part).map_or(0, |other| *count.min(other))).sum();
        f64::from(2 * common) / f64::from(total)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Letters and digits of a script with blanks between words.
    Word,
    /// Characters of a script without them.
    Dense,
    /// Blanks, punctuation, symbols.
    Other,
}

impl Kind {
    fn of(c: char) -> Self {
        if is_dense(c) {
            Self::Dense
        } else if c.is_alphanumeric() {
            Self::Word
        } else {
            Self::Other
        }
    }
}

/// Thai, Lao, Myanmar, Khmer, kana and Han.
fn is_dense(c: char) -> bool {
    matches!(c,
        '\u{0e01}'..='\u{0edf}'
        | '\u{1000}'..='\u{109f}'
        | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}'
        | '\u{3041}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{323af}')
}

/// One form for what readers take for the same: compatibility forms composed, case folded (by way of upper case, so that
/// ß is ss), Arabic vowel marks and stretching left out.
fn normalised(text: &str) -> String {
    text.nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .filter(|c| !matches!(c, '\u{0640}' | '\u{064b}'..='\u{0652}'))
        .nfkc()
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filtered(texts: &[&str]) -> Vec<String> {
        filter(texts.iter().map(|text| (*text).to_owned()).collect(), |text| text, 0.8)
    }

    #[test]
    fn near_duplicates_are_found_in_every_script() {
        for (one, two) in [
            (
                "Solar bus stops: Bus stops with solar roofs that light the way",
                "solar bus stops: bus stops with solar roofs, that light the way!",
            ),
            ("Gemeinsame Kühlschränke in jeder Straße der Stadt", "GEMEINSAME KÜHLSCHRÄNKE in jeder Strasse der Stadt"),
            (
                "社区共享冰箱：居民把多余的食物放进去，任何人都可以取用。",
                "社区共享冰箱，居民把多余食物放进去，任何人都可取用",
            ),
            ("余った食材を地域の冷蔵庫で分け合う仕組みを作る", "余った食材を地域の冷蔵庫で分け合う仕組みをつくる"),
            ("ثلاجات مشتركة في كل حي من أحياء المدينة", "ثَلّاجات مشتركة في كل حيّ من أحياء المدينة"),
            ("ตู้เย็นชุมชนสำหรับแบ่งปันอาหารที่เหลือ", "ตู้เย็นชุมชนสำหรับแบ่งปันอาหารเหลือ"),
            ("도시 공유 냉장고를 동네마다 설치한다", "도시 공유 냉장고를 동네마다 설치하기"),
        ] {
            assert!(similarity(one, two) >= 0.8, "{} {one}", similarity(one, two));
        }
    }

    #[test]
    fn distinct_ideas_are_kept_in_every_script() {
        for (one, two) in [
            ("Solar bus stops that light the way home", "A repair café that mends bicycles on market days"),
            ("Gemeinsame Kühlschränke in jeder Straße", "Eine Werkstatt, in der man Fahrräder selbst repariert"),
            ("社区共享冰箱，居民把多余的食物放进去", "在学校屋顶种植蔬菜，让学生参与收获"),
            ("余った食材を地域の冷蔵庫で分け合う", "学校の屋上で野菜を育てて給食に使う"),
            ("ثلاجات مشتركة في كل حي", "ورشة لإصلاح الدراجات في أيام السوق"),
        ] {
            assert!(similarity(one, two) < 0.5, "{} {one}", similarity(one, two));
            assert_eq!(filtered(&[one, two]).len(), 2);
        }
    }

    #[test]
    fn the_later_duplicate_is_dropped() {
        assert_eq!(filtered(&["Plant trees", "Fix bikes", "PLANT  TREES", "Fix bikes."]), ["Plant trees", "Fix bikes"]);
        assert_eq!(filtered(&["😀", "😀", "🎉"]), ["😀", "🎉"]);
    }

    #[test]
    fn width_and_composition_make_no_difference() {
        for (one, two) in
            [("ＡＩ　１２", "ai 12"), ("ｶﾞｿﾘﾝ", "ガソリン"), ("Cafe\u{301}", "café"), ("ΣΊΣΥΦΟΣ", "σίσυφος")]
        {
            assert!((similarity(one, two) - 1.0).abs() < f64::EPSILON, "{one} {two}");
        }
    }

    proptest! {
        #[test]
        fn symmetric_and_between_0_and_1(one in ".{0,60}", two in ".{0,60}") {
            let score = similarity(&one, &two);
            prop_assert!((0.0..=1.0).contains(&score));
            prop_assert!((score - similarity(&two, &one)).abs() < f64::EPSILON);
        }

        #[test]
        fn a_text_is_like_itself_in_any_case(text in "\\PC{0,60}") {
            prop_assert!((similarity(&text, &text) - 1.0).abs() < f64::EPSILON);
            prop_assert!((similarity(&text, &text.to_uppercase()) - 1.0).abs() < f64::EPSILON);
        }
    }
}
