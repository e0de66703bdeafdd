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
        match language.map(Language::lang) {
            Some(Lang::Ara) => self.arabic(),
            Some(Lang::Cmn) => self.chinese(),
            Some(Lang::Deu) => self.german(),
            Some(Lang::Jpn) => self.japanese(),
            _ => self.english(),
        }
    }

    const fn english(self) -> &'static str {
        match self {
            Self::Strengths => "STRENGTHS",
            Self::Opportunities => "OPPORTUNITIES",
            Self::AddressingConcerns => "ADDRESSING CONCERNS",
            Self::CriticalFlaws => "CRITICAL FLAWS",
            Self::RisksAndChallenges => "RISKS & CHALLENGES",
            Self::QuestionableAssumptions => "QUESTIONABLE ASSUMPTIONS",
            Self::MissingConsiderations => "MISSING CONSIDERATIONS",
        }
    }

    const fn arabic(self) -> &'static str {
        match self {
            Self::Strengths => "نقاط القوة",
            Self::Opportunities => "الفرص",
            Self::AddressingConcerns => "الرد على المخاوف",
            Self::CriticalFlaws => "عيوب جوهرية",
            Self::RisksAndChallenges => "المخاطر والتحديات",
            Self::QuestionableAssumptions => "افتراضات مشكوك فيها",
            Self::MissingConsiderations => "جوانب مغفلة",
        }
    }

    const fn chinese(self) -> &'static str {
        match self {
            Self::Strengths => "优势",
            Self::Opportunities => "机会",
            Self::AddressingConcerns => "对疑虑的回应",
            Self::CriticalFlaws => "关键缺陷",
            Self::RisksAndChallenges => "风险与挑战",
            Self::QuestionableAssumptions => "存疑的假设",
            Self::MissingConsiderations => "遗漏的考虑",
        }
    }

    const fn german(self) -> &'static str {
        match self {
            Self::Strengths => "STÄRKEN",
            Self::Opportunities => "CHANCEN",
            Self::AddressingConcerns => "ANTWORTEN AUF BEDENKEN",
            Self::CriticalFlaws => "ENTSCHEIDENDE SCHWÄCHEN",
            Self::RisksAndChallenges => "RISIKEN & HERAUSFORDERUNGEN",
            Self::QuestionableAssumptions => "FRAGWÜRDIGE ANNAHMEN",
            Self::MissingConsiderations => "FEHLENDE ÜBERLEGUNGEN",
        }
    }

    const fn japanese(self) -> &'static str {
        match self {
            Self::Strengths => "強み",
            Self::Opportunities => "機会",
            Self::AddressingConcerns => "懸念への回答",
            Self::CriticalFlaws => "重大な欠陥",
            Self::RisksAndChallenges => "リスクと課題",
            Self::QuestionableAssumptions => "疑わしい前提",
            Self::MissingConsiderations => "見落とされている点",
        }
    }
}
