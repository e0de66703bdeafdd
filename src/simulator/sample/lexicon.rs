//! Common words of several languages, for prompts with too few words.

use whatlang::{Detector, Lang};

const ENGLISH: &str = "shared local simple weekly public smart modular visible open gentle steady compact seasonal \
    flexible mobile digital regional mutual practical careful garden workshop market library school harbour village \
    street kitchen studio platform network calendar toolkit archive journey festival exchange partner volunteer mentor \
    neighbour family teacher student artist builds connects measures rewards collects repairs reveals supports reduces \
    balances protects improves invites combines returns between through within around beyond together every morning \
    evening season";
const SPANISH: &str = "abierto local sencillo semanal público compartido móvil digital regional práctico flexible \
    cuidado jardín taller mercado biblioteca escuela puerto pueblo calle cocina estudio plataforma calendario archivo \
    viaje festival intercambio vecino familia maestro alumno artista construye conecta mide premia recoge repara muestra \
    apoya reduce protege mejora invita combina entre dentro juntos mañana tarde estación";
const FRENCH: &str = "ouvert local simple partagé public mobile numérique régional pratique souple discret durable \
    jardin atelier marché bibliothèque école port village rue cuisine studio plateforme calendrier archive voyage \
    festival échange voisin famille professeur élève artiste construit relie mesure récompense rassemble répare montre \
    soutient réduit protège améliore invite combine entre dans ensemble matin soir saison";
const GERMAN: &str = "offen lokal einfach gemeinsam öffentlich mobil digital regional praktisch flexibel sorgsam \
    dauerhaft garten werkstatt markt bücherei schule hafen dorf straße küche studio plattform kalender archiv reise fest \
    tausch nachbar familie lehrer schüler künstler baut verbindet misst belohnt sammelt repariert zeigt stützt senkt \
    schützt verbessert lädt vereint zwischen durch zusammen morgen abend jahreszeit";
const PORTUGUESE: &str = "aberto local simples semanal público partilhado móvel digital regional prático flexível \
    cuidado jardim oficina mercado biblioteca escola porto aldeia rua cozinha estúdio plataforma calendário arquivo \
    viagem festival troca vizinho família professor aluno artista constrói liga mede premia recolhe repara mostra apoia \
    reduz protege melhora convida combina entre dentro juntos manhã tarde estação";
const ITALIAN: &str = "aperto locale semplice settimanale pubblico condiviso mobile digitale regionale pratico \
    flessibile attento giardino officina mercato biblioteca scuola porto villaggio strada cucina studio piattaforma \
    calendario archivio viaggio festival scambio vicino famiglia maestro alunno artista costruisce collega misura premia \
    raccoglie ripara mostra sostiene riduce protegge migliora invita combina dentro insieme mattina sera stagione";
const RUSSIAN: &str = "открытый местный простой общий мобильный цифровой районный полезный гибкий бережный сад \
    мастерская рынок библиотека школа порт деревня улица кухня студия площадка календарь архив поездка праздник обмен \
    сосед семья учитель ученик художник строит связывает измеряет поощряет собирает чинит показывает поддерживает \
    снижает защищает улучшает приглашает сочетает между через вместе утром вечером сезон";
const ARABIC: &str = "مفتوح محلي بسيط مشترك عام متنقل رقمي إقليمي عملي مرن دائم حديقة ورشة سوق مكتبة مدرسة ميناء قرية \
    شارع مطبخ منصة تقويم أرشيف رحلة مهرجان تبادل جار عائلة معلم طالب فنان يبني يربط يقيس يكافئ يجمع يصلح يعرض يدعم يقلل \
    يحمي يحسن يدعو بين داخل معا صباح مساء موسم";
const JAPANESE: &str = "地域 市場 学校 図書館 工房 庭園 台所 港町 通り 暦 記録 旅 祭り 交換 隣人 家族 先生 生徒 芸術家 \
    共有 簡単 毎週 公開 移動 実用 柔軟 丁寧 持続 つくる つなぐ はかる ほめる あつめる なおす みせる ささえる へらす まもる \
    よくする まねく くみあわせる いっしょに 朝夕 季節 仕組み 体験 発見 交流";
const CHINESE: &str = "社区 市场 学校 图书馆 工坊 花园 厨房 港口 街道 日历 档案 旅行 节日 交换 邻居 家庭 老师 学生 艺术家 \
    共享 简单 每周 公开 移动 实用 灵活 细心 持续 建造 连接 测量 奖励 收集 修理 展示 支持 减少 保护 改善 邀请 结合 一起 早晨 \
    傍晚 季节 平台 体验 发现 交流";
const KOREAN: &str = "지역 시장 학교 도서관 공방 정원 부엌 항구 거리 달력 기록 여행 축제 교환 이웃 가족 선생님 학생 예술가 \
    공유하는 간단한 매주 열린 움직이는 실용적인 유연한 세심한 꾸준한 만들고 이어주고 재고 칭찬하고 모으고 고치고 보여주고 \
    돕고 줄이고 지키고 함께 아침 저녁 계절";

/// Words of instructions, which are seldom the topic of a prompt.
const INSTRUCTIONS: &str = " the and for with that this from your you are not any all can has have will must should \
    would could each every into onto about than then them they their there here what when where which who how why its \
    our out use using used only also please generate create list give write return respond reply answer provide produce \
    output exactly json schema format fields field following below above idea ideas item items string number array object \
    valid key keys example one two three four five six seven eight nine ten more most less least such other same like \
    make sure include including based given topic context prompt text language data treat evaluate evaluation ";

/// The language whose lexicon is used. Latin text of an unknown language uses English.
pub(super) fn language(own: &[String], texts: &[&str], is_latin: bool) -> Option<Lang> {
    if own.len() >= 400 {
        return None;
    }
    if !is_latin {
        return by_script(&own.concat());
    }
    let start: String = texts.iter().flat_map(|text| text.chars().chain([' '])).take(400).collect();
    let latin = vec![Lang::Eng, Lang::Spa, Lang::Fra, Lang::Deu, Lang::Por, Lang::Ita];
    let is_ascii = own.iter().all(|word| word.is_ascii());
    let fits = |lang: Lang| own.iter().flat_map(|word| word.chars()).all(|c| c.is_ascii() || accents(lang).contains(c));
    match Detector::with_allowlist(latin).detect(&start) {
        Some(info) if fits(info.lang()) && (info.is_reliable() || !is_ascii) => Some(info.lang()),
        // A language without a lexicon: foreign words keep the texts of a list distinct.
        _ => Some(Lang::Eng),
    }
}

/// The non-ASCII letters of a language. Any other letter rules it out.
fn accents(language: Lang) -> &'static str {
    match language {
        Lang::Spa => "áéíóúüñ’",
        Lang::Fra => "àâæçéèêëîïôœùûüÿ’",
        Lang::Deu => "äöüß’",
        Lang::Por => "áâãàçéêíóôõú’",
        Lang::Ita => "àèéìòóù’",
        _ => "’",
    }
}

fn by_script(text: &str) -> Option<Lang> {
    let scripts = [
        ('\u{3041}'..='\u{30ff}', Lang::Jpn),
        ('\u{4e00}'..='\u{9fff}', Lang::Cmn),
        ('\u{ac00}'..='\u{d7af}', Lang::Kor),
        ('\u{400}'..='\u{4ff}', Lang::Rus),
        ('\u{600}'..='\u{6ff}', Lang::Ara),
    ];
    scripts.into_iter().find(|(script, _)| text.chars().any(|c| script.contains(&c))).map(|(_, language)| language)
}

/// The lexicon of a language, which may be empty.
pub(super) fn words(language: Option<Lang>) -> impl Iterator<Item = &'static str> {
    let list = match language {
        Some(Lang::Eng) => ENGLISH,
        Some(Lang::Spa) => SPANISH,
        Some(Lang::Fra) => FRENCH,
        Some(Lang::Deu) => GERMAN,
        Some(Lang::Por) => PORTUGUESE,
        Some(Lang::Ita) => ITALIAN,
        Some(Lang::Rus) => RUSSIAN,
        Some(Lang::Ara) => ARABIC,
        Some(Lang::Jpn) => JAPANESE,
        Some(Lang::Cmn) => CHINESE,
        Some(Lang::Kor) => KOREAN,
        _ => "",
    };
    list.split_whitespace()
}

/// Whether a word is common in instructions.
pub(super) fn is_instruction(word: &str) -> bool {
    INSTRUCTIONS.split_whitespace().any(|known| known == word)
}
