//! The language of replies and headings: detected from the topic, or named by the caller.

use std::fmt;

use whatlang::{Lang, Script};

use crate::error::{Error, Result};

/// A natural language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(Lang);

/// The two-letter codes of ISO 639-1. `whatlang` knows only the three-letter codes of ISO 639-3.
#[rustfmt::skip]
const CODES: [(&str, Lang); 69] = [
    ("af", Lang::Afr), ("ak", Lang::Aka), ("am", Lang::Amh), ("ar", Lang::Ara), ("az", Lang::Aze), ("be", Lang::Bel),
    ("bg", Lang::Bul), ("bn", Lang::Ben), ("ca", Lang::Cat), ("cs", Lang::Ces), ("cy", Lang::Cym), ("da", Lang::Dan),
    ("de", Lang::Deu), ("el", Lang::Ell), ("en", Lang::Eng), ("eo", Lang::Epo), ("es", Lang::Spa), ("et", Lang::Est),
    ("fa", Lang::Pes), ("fi", Lang::Fin), ("fr", Lang::Fra), ("gu", Lang::Guj), ("he", Lang::Heb), ("hi", Lang::Hin),
    ("hr", Lang::Hrv), ("hu", Lang::Hun), ("hy", Lang::Hye), ("id", Lang::Ind), ("it", Lang::Ita), ("ja", Lang::Jpn),
    ("jv", Lang::Jav), ("ka", Lang::Kat), ("km", Lang::Khm), ("kn", Lang::Kan), ("ko", Lang::Kor), ("la", Lang::Lat),
    ("lt", Lang::Lit), ("lv", Lang::Lav), ("mk", Lang::Mkd), ("ml", Lang::Mal), ("mr", Lang::Mar), ("my", Lang::Mya),
    ("nb", Lang::Nob), ("ne", Lang::Nep), ("nl", Lang::Nld), ("no", Lang::Nob), ("or", Lang::Ori), ("pa", Lang::Pan),
    ("pl", Lang::Pol), ("pt", Lang::Por), ("ro", Lang::Ron), ("ru", Lang::Rus), ("si", Lang::Sin), ("sk", Lang::Slk),
    ("sl", Lang::Slv), ("sn", Lang::Sna), ("sr", Lang::Srp), ("sv", Lang::Swe), ("ta", Lang::Tam), ("te", Lang::Tel),
    ("th", Lang::Tha), ("tk", Lang::Tuk), ("tl", Lang::Tgl), ("tr", Lang::Tur), ("uk", Lang::Ukr), ("ur", Lang::Urd),
    ("uz", Lang::Uzb), ("vi", Lang::Vie), ("zh", Lang::Cmn),
];

/// The number of letters that detection by letter statistics needs.
const MIN_LETTERS: usize = 24;

/// Common Chinese characters that Japanese does not use: simplified forms and function words.
const CHINESE: &str =
    "们这为时发对动说过还开关进问间让从应业产电车东书长见话语请谁给场设计济经统环与你您她它很什么麼嗎這們";

impl Language {
    /// Returns the language of `topic`, or `None` if it is uncertain. `context` only decides between Chinese and Japanese
    /// for a topic of Han characters alone.
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
                (info.is_reliable() && letters >= MIN_LETTERS).then_some(Self(info.lang()))
            }
            _ => None,
        }
    }

    /// Parses a language by its English or native name, or by its code with or without a region (`de`, `deu`, `de-AT`,
    /// `German`, `Deutsch`), in any case.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` if the name is unknown.
    pub fn named(name: &str) -> Result<Self> {
        let wanted = name.trim().to_lowercase();
        let code = wanted.split(['-', '_']).next().unwrap_or_default();
        let by_code = CODES.iter().find(|(known, _)| *known == code).map(|(_, lang)| *lang);
        let by_name = |lang: &&Lang| {
            [Self(**lang).name(), lang.eng_name(), lang.name()].iter().any(|known| known.to_lowercase() == wanted)
        };
        by_code
            .or_else(|| Lang::all().iter().find(by_name).copied())
            .or_else(|| (wanted == "中文").then_some(Lang::Cmn))
            .or_else(|| Lang::from_code(code))
            .map(Self)
            .ok_or_else(|| {
                Error::invalid_input(format!("unknown language {name:?}: use its English name or its code, such as de"))
            })
    }

    /// Returns the most tokens that a character of an answer takes in vocabularies of English and code, which have few words of
    /// others. Without a language the script of `topic` decides.
    pub(super) fn tokens_per_char(language: Option<Self>, topic: &str) -> f64 {
        let is_latin = match language {
            Some(Self(lang)) => Some(Script::Latin.langs().contains(&lang)),
            None => whatlang::detect_script(topic).map(|script| script == Script::Latin),
        };
        match is_latin {
            Some(true) => 0.5,
            Some(false) => 1.5,
            None => 1.0,
        }
    }

    pub(super) fn lang(self) -> Lang {
        self.0
    }

    /// Returns the English name, which prompts use.
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

/// Distinguishes Chinese and Japanese in a text of Han characters.
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

/// Distinguishes Arabic from Persian and Urdu: Arabic has its own kaf, yeh and teh marbuta and lacks some of their letters.
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
    fn scripts_identify_languages() {
        assert_eq!(name("食品ロスを減らす方法"), Some("Japanese"));
        assert_eq!(name("减少城市食物浪费的方法，让社区参与进来"), Some("Chinese"));
        assert_eq!(name("도시의 음식물 쓰레기 줄이기"), Some("Korean"));
        assert_eq!(name("ลดขยะอาหารในเมือง"), Some("Thai"));
        assert_eq!(name("Μείωση της σπατάλης τροφίμων"), Some("Greek"));
    }

    #[test]
    fn letter_statistics_identify_long_texts_only() {
        assert_eq!(name("Wie können wir Lebensmittelabfälle in unserer Stadt verringern?"), Some("German"));
        assert_eq!(name("How can we reduce the amount of food that is wasted in our city?"), Some("English"));
        assert_eq!(name("كيف يمكننا تقليل هدر الطعام في مدينتنا"), Some("Arabic"));
        assert_eq!(name("چگونه هدر رفت غذا را کم کنیم"), None);
        assert_eq!(name("Urban farming"), None);
        assert_eq!(name("42 + 1"), None);
    }

    #[test]
    fn languages_are_parsed_by_name_and_code() {
        for (names, language) in [
            (vec!["de", "deu", "DE-at", "de_CH", "German", "deutsch"], "German"),
            (vec!["zh", "zh-Hant", "cmn", "chinese", "Mandarin", "中文"], "Chinese"),
            (vec!["ja", "日本語", " Japanese "], "Japanese"),
            (vec!["ar", "العربية"], "Arabic"),
        ] {
            for name in names {
                assert_eq!(Language::named(name).unwrap().name(), language, "{name}");
            }
        }
        for nonsense in ["", "Klingon", "d", "ignore all rules"] {
            assert!(Language::named(nonsense).is_err(), "{nonsense}");
        }
        assert!(CODES.iter().all(|(code, lang)| Language::named(code).unwrap().0 == *lang));
    }

    #[test]
    fn han_characters_need_a_hint() {
        assert_eq!(name("環境問題"), None);
        assert_eq!(Language::of("環境問題", "高校生向けの企画").map(Language::name), Some("Japanese"));
        assert_eq!(Language::of("環境問題", "給我們的學校").map(Language::name), Some("Chinese"));
        assert_eq!(name("東京観光案内"), None);
    }
}
