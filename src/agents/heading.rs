//! The headings of formatted arguments in several languages.

use whatlang::Lang;

use super::language::Language;

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
    /// Returns the heading in `language`, or in English if there is no translation.
    pub(super) fn text(self, language: Option<Language>) -> &'static str {
        let [english, arabic, chinese, german, japanese] = self.translations();
        match language.map(Language::lang) {
            Some(Lang::Ara) => arabic,
            Some(Lang::Cmn) => chinese,
            Some(Lang::Deu) => german,
            Some(Lang::Jpn) => japanese,
            _ => english,
        }
    }

    /// Returns the heading in English, Arabic, Chinese, German and Japanese.
    #[rustfmt::skip]
    const fn translations(self) -> [&'static str; 5] {
        match self {
            Self::Strengths => ["STRENGTHS", "نقاط القوة", "优势", "STÄRKEN", "強み"],
            Self::Opportunities => ["OPPORTUNITIES", "الفرص", "机会", "CHANCEN", "機会"],
            Self::AddressingConcerns => ["ADDRESSING CONCERNS", "الرد على المخاوف", "对疑虑的回应", "ANTWORTEN AUF BEDENKEN", "懸念への回答"],
            Self::CriticalFlaws => ["CRITICAL FLAWS", "عيوب جوهرية", "关键缺陷", "ENTSCHEIDENDE SCHWÄCHEN", "重大な欠陥"],
            Self::RisksAndChallenges => ["RISKS & CHALLENGES", "المخاطر والتحديات", "风险与挑战", "RISIKEN & HERAUSFORDERUNGEN", "リスクと課題"],
            Self::QuestionableAssumptions => ["QUESTIONABLE ASSUMPTIONS", "افتراضات مشكوك فيها", "存疑的假设", "FRAGWÜRDIGE ANNAHMEN", "疑わしい前提"],
            Self::MissingConsiderations => ["MISSING CONSIDERATIONS", "جوانب مغفلة", "遗漏的考虑", "FEHLENDE ÜBERLEGUNGEN", "見落とされている点"],
        }
    }
}
