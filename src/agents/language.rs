//! The language of a topic: named in prompts, and the language of the headings of formatted arguments.

use std::fmt;

use whatlang::{Lang, Script};

/// A language that a text is known to be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(Lang);

/// Letters below which the letters' statistics tell too little of a language.
const ENOUGH_LETTERS: usize = 24;

/// Common characters of Chinese that Japanese does not use: simplified forms and Chinese function words.
const CHINESE: &str =
    "们这为时发对动说过还开关进问间让从应业产电车东书长见话语请谁给场设计济经统环与你您她它很什么麼嗎這們";

impl Language {
    /// The language of `topic`; `None` where it cannot be told for certain. `context` decides only between Chinese and
    /// Japanese for a topic of Han characters alone.
    pub fn of(topic: &str, context: &str) -> Option<Self> {
        if topic.chars().any(is_kana) {
            return Some(Self(Lang::Jpn));
        }
        let info = whatlang::detect(topic)?;
        match info.script() {
            Script::Mandarin => han(topic, context),
            Script::Arabic if is_arabic(topic) => Some(Self(Lang::Ara)),
            script if script.langs().len() == 1 => Some(Self(info.lang())),
            Script::Arabic | Script::Cyrillic | Script::Devanagari | Script::Hebrew | Script::Latin => {
                let letters = topic.chars().filter(|c| c.is_alphabetic()).count();
                (info.is_reliable() && letters >= ENOUGH_LETTERS).then_some(Self(info.lang()))
            }
            _ => None,
        }
    }

    /// The English name, as prompts use it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Lang::Cmn => "Chinese",
            other => other.eng_name(),
        }
    }

    pub(super) fn headings(language: Option<Self>) -> &'static Headings {
        match language.map(|language| language.0) {
            Some(Lang::Cmn) => &CHINESE_HEADINGS,
            Some(Lang::Deu) => &GERMAN_HEADINGS,
            Some(Lang::Jpn) => &JAPANESE_HEADINGS,
            _ => &ENGLISH_HEADINGS,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The headings of formatted arguments.
pub(super) struct Headings {
    pub(super) strengths: &'static str,
    pub(super) opportunities: &'static str,
    pub(super) addressing_concerns: &'static str,
    pub(super) critical_flaws: &'static str,
    pub(super) risks_and_challenges: &'static str,
    pub(super) questionable_assumptions: &'static str,
    pub(super) missing_considerations: &'static str,
}

const ENGLISH_HEADINGS: Headings = Headings {
    strengths: "STRENGTHS",
    opportunities: "OPPORTUNITIES",
    addressing_concerns: "ADDRESSING CONCERNS",
    critical_flaws: "CRITICAL FLAWS",
    risks_and_challenges: "RISKS & CHALLENGES",
    questionable_assumptions: "QUESTIONABLE ASSUMPTIONS",
    missing_considerations: "MISSING CONSIDERATIONS",
};

const GERMAN_HEADINGS: Headings = Headings {
    strengths: "STÄRKEN",
    opportunities: "CHANCEN",
    addressing_concerns: "ANTWORTEN AUF BEDENKEN",
    critical_flaws: "ENTSCHEIDENDE SCHWÄCHEN",
    risks_and_challenges: "RISIKEN & HERAUSFORDERUNGEN",
    questionable_assumptions: "FRAGWÜRDIGE ANNAHMEN",
    missing_considerations: "FEHLENDE ÜBERLEGUNGEN",
};

const JAPANESE_HEADINGS: Headings = Headings {
    strengths: "強み",
    opportunities: "機会",
    addressing_concerns: "懸念への回答",
    critical_flaws: "重大な欠陥",
    risks_and_challenges: "リスクと課題",
    questionable_assumptions: "疑わしい前提",
    missing_considerations: "見落とされている点",
};

const CHINESE_HEADINGS: Headings = Headings {
    strengths: "优势",
    opportunities: "机会",
    addressing_concerns: "对疑虑的回应",
    critical_flaws: "关键缺陷",
    risks_and_challenges: "风险与挑战",
    questionable_assumptions: "存疑的假设",
    missing_considerations: "遗漏的考虑",
};

/// Han characters alone do not tell Chinese from Japanese.
fn han(topic: &str, context: &str) -> Option<Language> {
    let is_chinese = |c: char| CHINESE.contains(c);
    if topic.chars().any(is_chinese) {
        Some(Language(Lang::Cmn))
    } else if context.chars().any(is_kana) {
        Some(Language(Lang::Jpn))
    } else if context.chars().any(is_chinese) {
        Some(Language(Lang::Cmn))
    } else {
        None
    }
}

/// Arabic writes kaf, yeh and teh marbuta with letters of its own; Persian and Urdu have letters Arabic lacks.
fn is_arabic(text: &str) -> bool {
    text.contains(['ة', 'ك', 'ي']) && !text.contains(['پ', 'چ', 'ژ', 'گ', 'ک', 'ی', 'ٹ', 'ڈ', 'ڑ', 'ے', 'ہ'])
}

fn is_kana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{ff66}'..='\u{ff9d}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(topic: &str) -> Option<&'static str> {
        Language::of(topic, "").map(Language::name)
    }

    #[test]
    fn scripts_decide() {
        assert_eq!(name("食品ロスを減らす方法"), Some("Japanese"));
        assert_eq!(name("减少城市食物浪费的方法，让社区参与进来"), Some("Chinese"));
        assert_eq!(name("도시의 음식물 쓰레기 줄이기"), Some("Korean"));
        assert_eq!(name("ลดขยะอาหารในเมือง"), Some("Thai"));
        assert_eq!(name("Μείωση της σπατάλης τροφίμων"), Some("Greek"));
    }

    #[test]
    fn statistics_decide_long_texts_only() {
        assert_eq!(name("Wie können wir Lebensmittelabfälle in unserer Stadt verringern?"), Some("German"));
        assert_eq!(name("How can we reduce the amount of food that is wasted in our city?"), Some("English"));
        assert_eq!(name("كيف يمكننا تقليل هدر الطعام في مدينتنا"), Some("Arabic"));
        assert_eq!(name("چگونه هدر رفت غذا را کم کنیم"), None);
        assert_eq!(name("Urban farming"), None);
        assert_eq!(name("42 + 1"), None);
    }

    #[test]
    fn han_alone_needs_a_hint() {
        assert_eq!(name("環境問題"), None);
        assert_eq!(Language::of("環境問題", "高校生向けの企画").map(Language::name), Some("Japanese"));
        assert_eq!(Language::of("環境問題", "給我們的學校").map(Language::name), Some("Chinese"));
        assert_eq!(name("東京観光案内"), None);
    }
}
