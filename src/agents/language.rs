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
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A heading of a formatted argument.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heading {
    Strengths,
    Opportunities,
    AddressingConcerns,
    CriticalFlaws,
    RisksAndChallenges,
    QuestionableAssumptions,
    MissingConsiderations,
}

impl Heading {
    /// Its words in `language`; in English where there are none.
    pub(super) fn text(self, language: Option<Language>) -> &'static str {
        let [english, chinese, german, japanese] = match self {
            Self::Strengths => ["STRENGTHS", "优势", "STÄRKEN", "強み"],
            Self::Opportunities => ["OPPORTUNITIES", "机会", "CHANCEN", "機会"],
            Self::AddressingConcerns => {
                ["ADDRESSING CONCERNS", "对疑虑的回应", "ANTWORTEN AUF BEDENKEN", "懸念への回答"]
            }
            Self::CriticalFlaws => ["CRITICAL FLAWS", "关键缺陷", "ENTSCHEIDENDE SCHWÄCHEN", "重大な欠陥"],
            Self::RisksAndChallenges => {
                ["RISKS & CHALLENGES", "风险与挑战", "RISIKEN & HERAUSFORDERUNGEN", "リスクと課題"]
            }
            Self::QuestionableAssumptions => {
                ["QUESTIONABLE ASSUMPTIONS", "存疑的假设", "FRAGWÜRDIGE ANNAHMEN", "疑わしい前提"]
            }
            Self::MissingConsiderations => {
                ["MISSING CONSIDERATIONS", "遗漏的考虑", "FEHLENDE ÜBERLEGUNGEN", "見落とされている点"]
            }
        };
        match language.map(|language| language.0) {
            Some(Lang::Cmn) => chinese,
            Some(Lang::Deu) => german,
            Some(Lang::Jpn) => japanese,
            _ => english,
        }
    }
}

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
