use proptest::prelude::*;

use super::*;
use crate::steps::testing::counted;

const THRESHOLD: f64 = 0.8;

fn filtered<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    filter(texts.to_vec(), |text| text, THRESHOLD)
}

/// Pairs of texts for the same idea.
const DUPLICATES: [(&str, &str, &str); 18] = [
    (
        "English",
        "Solar bus stops: Bus stops with solar roofs that light the way",
        "solar bus stops: bus stops with solar roofs, that light the way!",
    ),
    (
        "English",
        "A public fridge for surplus food on every street",
        "On every street, a public fridge for surplus food",
    ),
    ("English", "Naïve café owners compost their grounds", "Nai\u{308}ve cafe\u{301} owners compost their grounds"),
    (
        "German",
        "Gemeinsame Kühlschränke in jeder Straße der Stadt",
        "GEMEINSAME KÜHLSCHRÄNKE in jeder Strasse der Stadt",
    ),
    (
        "German",
        "Essensretter-App: Restaurants melden übrige Mahlzeiten, Nachbarn holen sie ab.",
        "Essensretter App – Restaurants melden übrige Mahlzeiten; Nachbarn holen sie ab",
    ),
    (
        "Chinese",
        "社区共享冰箱：居民把多余的食物放进去，任何人都可以取用。",
        "社区共享冰箱，居民把多余食物放进去，任何人都可取用",
    ),
    ("Chinese", "屋顶菜园：学生在学校屋顶上种植蔬菜", "屋顶菜园：学生在学校的屋顶上种植蔬菜。"),
    ("Chinese", "用ＡＩ预测食堂每天需要的饭菜数量", "用AI预测食堂每天需要的饭菜数量"),
    ("Japanese", "余った食材を地域の冷蔵庫で分け合う仕組みを作る", "余った食材を地域の冷蔵庫で分け合う仕組みをつくる"),
    ("Japanese", "ｽﾏｰﾄ冷蔵庫で賞味期限を家族に知らせる", "スマート冷蔵庫で、賞味期限を家族に知らせる。"),
    ("Japanese", "屋上菜園：学校の屋上で野菜を育てて給食に使う", "屋上菜園：学校の屋上で野菜を育て、給食に使います"),
    ("Arabic", "ثلاجات مشتركة في كل حي من أحياء المدينة", "ثَلّاجات مشتركة في كل حيّ من أحياء المدينة"),
    ("Arabic", "إعادة توزيع الأطعمة الزائدة على الأسر المحتاجة", "اعادة توزيع الاطعمه الزائدة علي الأسر المحتاجة"),
    ("Arabic", "مطبخ الحي: طهاة متطوعون يطبخون بقايا السوق", "مطبـــخ الحي؛ طهاة متطوعون يطبخون بقايا السوق."),
    ("Hebrew", "מקרר שכונתי לחלוקת אוכל עודף", "מְקָרֵר שכונתי לחלוקת אוכל עודף"),
    ("Thai", "ตู้เย็นชุมชนสำหรับแบ่งปันอาหารที่เหลือ", "ตู้เย็นชุมชนสำหรับแบ่งปันอาหารเหลือ"),
    ("Korean", "도시 공유 냉장고를 동네마다 설치한다", "도시 공유 냉장고를 동네마다 설치하기"),
    ("Hindi", "हर मोहल्ले में साझा फ्रिज लगाएँ", "हर मोहल्ले में साझा फ्रिज लगाएँ।"),
];

/// Pairs of different ideas; some share words and sentence structure.
const DISTINCT: [(&str, &str, &str); 15] = [
    ("English", "Solar bus stops that light the way home", "A repair café that mends bicycles on market days"),
    (
        "English",
        "An app that tells neighbours which shops give away bread in the evening",
        "An app that tells shops which neighbours can mend their ovens",
    ),
    ("German", "Gemeinsame Kühlschränke in jeder Straße", "Eine Werkstatt, in der man Fahrräder selbst repariert"),
    (
        "German",
        "Schulkinder bauen auf dem Dach Gemüse für die Mensa an",
        "Rentner kochen in der Mensa mit übrigem Gemüse vom Markt",
    ),
    ("Chinese", "社区共享冰箱，居民把多余的食物放进去", "在学校屋顶种植蔬菜，让学生参与收获"),
    ("Chinese", "在学校屋顶种植蔬菜，让学生参与收获", "在医院屋顶种植草药，让病人参与照料"),
    ("Chinese", "用手机应用提醒居民食品何时过期", "用手机应用帮助餐厅捐赠剩余饭菜"),
    ("Japanese", "余った食材を地域の冷蔵庫で分け合う", "学校の屋上で野菜を育てて給食に使う"),
    ("Japanese", "賞味期限が近い食品を割引するアプリ", "賞味期限が近い食品で料理を教える教室"),
    ("Japanese", "カレーのレシピ", "カレーの辛さ"),
    ("Arabic", "ثلاجات مشتركة في كل حي", "ورشة لإصلاح الدراجات في أيام السوق"),
    ("Arabic", "تطبيق يذكر السكان بموعد انتهاء صلاحية الطعام", "تطبيق يساعد المطاعم على التبرع بالطعام الفائض"),
    ("Thai", "ตู้เย็นชุมชนสำหรับแบ่งปันอาหารที่เหลือ", "ปลูกผักบนดาดฟ้าโรงเรียน"),
    ("Korean", "도시 공유 냉장고를 동네마다 설치한다", "학교 옥상에서 채소를 기른다"),
    ("Hindi", "हर मोहल्ले में साझा फ्रिज लगाएँ", "स्कूल की छत पर सब्ज़ियाँ उगाएँ"),
];

#[test]
fn defect_19_duplicates_are_found_in_every_script() {
    for (language, one, two) in DUPLICATES {
        assert!(similarity(one, two) >= THRESHOLD, "{language} {} {one}", similarity(one, two));
        assert_eq!(filtered(&[one, two]), [one], "{language}");
    }
}

#[test]
fn defect_19_distinct_ideas_are_kept_in_every_script() {
    for (language, one, two) in DISTINCT {
        assert!(similarity(one, two) < 0.7, "{language} {} {one}", similarity(one, two));
        assert_eq!(filtered(&[one, two]), [one, two], "{language}");
    }
}

#[test]
fn defect_19_scripts_without_spaces_have_gradual_similarity() {
    // As one word each, these would be either identical or have nothing in common.
    for (one, two) in [("学校の屋上で野菜を育てる", "学校の庭で野菜を育てる"), ("学校屋顶菜园", "医院屋顶菜园")]
    {
        assert!((0.3..THRESHOLD).contains(&similarity(one, two)), "{} {one}", similarity(one, two));
    }
}

#[test]
fn the_later_duplicate_is_dropped() {
    assert_eq!(filtered(&["Plant trees", "Fix bikes", "PLANT  TREES", "Fix bikes."]), ["Plant trees", "Fix bikes"]);
    assert_eq!(filtered(&["😀", "😀", "🎉"]), ["😀", "🎉"]);
}

#[test]
fn a_duplicate_refers_to_its_most_similar_text() {
    let texts = ["Plant trees on roofs of schools", "Fix bikes", "Plant trees on roofs of a school", "fix bikes"];
    let found = duplicates(texts, 0.7);
    assert_eq!(found.iter().map(|one| (one.index, one.of)).collect::<Vec<_>>(), [(2, 0), (3, 1)]);
    assert!((found[1].similarity - 1.0).abs() < f64::EPSILON && found[0].similarity < 1.0, "{found:?}");
    let [closest] = duplicates(["ab cd ef ij", "cd ef gh kl", "cd ef gh kl ab"], 0.6)[..] else {
        panic!("one duplicate")
    };
    assert_eq!((closest.index, closest.of), (2, 1), "both are similar, the second more");
}

#[test]
fn width_and_composition_are_ignored() {
    for (one, two) in [("ＡＩ　１２", "ai 12"), ("ｶﾞｿﾘﾝ", "ガソリン"), ("Cafe\u{301}", "café"), ("ΣΊΣΥΦΟΣ", "σίσυφος")]
    {
        assert!((similarity(one, two) - 1.0).abs() < f64::EPSILON, "{one} {two}");
    }
}

/// Short texts over small alphabets, so that parts repeat, in scripts with and without spaces.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[abAB ]{0,12}", "[学校屋顶の、 ]{0,12}", "[شجرةا ]{0,12}", "[äßüAS a]{0,12}", "\\PC{0,40}"]
}

proptest! {
    #[test]
    fn similarity_is_symmetric_and_between_0_and_1(one in text(), two in text()) {
        let score = similarity(&one, &two);
        prop_assert!((0.0..=1.0).contains(&score));
        prop_assert!((score - similarity(&two, &one)).abs() < f64::EPSILON);
    }

    #[test]
    fn a_text_is_identical_to_itself_in_any_case(text in text()) {
        prop_assert!((similarity(&text, &text) - 1.0).abs() < f64::EPSILON);
        prop_assert!((similarity(&text, &text.to_uppercase()) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn kept_texts_are_novel_and_dropped_texts_are_not(
        texts in prop::collection::vec(text(), 0..8),
        threshold in 0.1..=1.0_f64,
    ) {
        let found = duplicates(texts.iter().map(String::as_str), threshold);
        let is_dropped = |index: usize| found.iter().any(|duplicate| duplicate.index == index);
        for duplicate in &found {
            prop_assert!(duplicate.of < duplicate.index && !is_dropped(duplicate.of));
            let similarity = similarity(&texts[duplicate.of], &texts[duplicate.index]);
            prop_assert!((similarity - duplicate.similarity).abs() < f64::EPSILON && similarity >= threshold);
        }
        let kept: Vec<&String> = (0..texts.len()).filter(|index| !is_dropped(*index)).map(|index| &texts[index]).collect();
        for (at, one) in kept.iter().enumerate() {
            prop_assert!(kept[..at].iter().all(|two| similarity(one, two) < threshold));
        }
    }
}

#[test]
fn long_texts_are_compared_by_their_beginning() {
    let text = |end: &str| format!("{}{end}", "An idea about rivers. ".repeat(2000));
    let steps = |times: usize| counted(|| similarity(&text("x").repeat(times), &text("y")));
    assert_eq!(steps(1), steps(100));
    assert!((similarity(&text("one end"), &text("another end")) - 1.0).abs() < 1e-9);
}
