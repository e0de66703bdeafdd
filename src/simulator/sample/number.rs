//! Samples of numbers: within their bounds, on their grid, and spread over the items of a list.

use serde_json::{Map, Number, Value};

use super::prompt::{Prompt, is_label_name};
use super::{Place, mix};

/// The fraction of the golden ratio, whose multiples are evenly distributed.
const SPREAD: f64 = 0.618_033_988_749_895;

pub(super) fn integer(keywords: &Map<String, Value>, place: &Place<'_>, prompt: &Prompt<'_>) -> Value {
    let (low, high) = integer_bounds(keywords);
    let step = integer_step(keywords);
    let inside =
        |value: i128| low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high) && value % step == 0;
    let counted = if is_label_name(place.name) {
        let labelled = place.label.or_else(|| prompt.labels(place.name).get(place.ordinal).copied());
        labelled.or_else(|| i64::try_from(place.ordinal).ok())
    } else if is_number_name(place.name) {
        i64::try_from(place.ordinal + 1).ok()
    } else {
        None
    };
    if let Some(value) = counted.map(i128::from).filter(|value| inside(*value)) {
        return to_json(value);
    }
    let (usual_low, usual_high) = usual_range(place.name, true);
    let (low, high) = range(low, high, i128::from(usual_low), i128::from(usual_high), step * 100);
    let first = low.div_euclid(step) + i128::from(low.rem_euclid(step) != 0);
    let count = high.div_euclid(step) - first + 1;
    if count <= 0 {
        return to_json(low);
    }
    to_json((first + spread(place, count)) * step)
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the grid has few points")]
pub(super) fn number(keywords: &Map<String, Value>, place: &Place<'_>) -> Value {
    let bounds = Bounds::read(keywords);
    let (usual_low, usual_high) = usual_range(place.name, false);
    let span = bounds.multiple.unwrap_or(1.0) * 100.0;
    let (usual_low, usual_high) = (usual_low as f64, usual_high as f64);
    let (low, high) = match (bounds.low, bounds.high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) if low < usual_high => (low, usual_high),
        (Some(low), None) => (low, low + span),
        (None, Some(high)) if high > usual_low => (usual_low, high),
        (None, Some(high)) => (high - span, high),
        (None, None) if bounds.multiple.is_some() => (0.0, span),
        (None, None) => (usual_low, usual_high),
    };
    let step = bounds.multiple.unwrap_or_else(|| readable_step(high - low));
    let (mut first, mut last) = ((low / step).ceil(), (high / step).floor());
    while first <= last && !bounds.allow(on_grid(first, step)) {
        first += 1.0;
    }
    while first <= last && !bounds.allow(on_grid(last, step)) {
        last -= 1.0;
    }
    if first > last {
        return json_number(low + (high - low) / 2.0);
    }
    let count = (last - first + 1.0).min(1e15) as i128;
    json_number(on_grid(first + spread(place, count) as f64, step))
}

/// A position on a grid of `count` points. Long grids omit the lower third: plausible scores are seldom near zero.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a position needs no exactness")]
fn spread(place: &Place<'_>, count: i128) -> i128 {
    let start = mix(place.family, 0x5c0e) as f64 / u64::MAX as f64;
    let fraction = (start + place.ordinal as f64 * SPREAD).fract();
    let fraction = if count >= 6 { 0.3 + 0.65 * fraction } else { fraction };
    ((count as f64 * fraction) as i128).clamp(0, count - 1)
}

struct Bounds {
    low: Option<f64>,
    high: Option<f64>,
    above: Option<f64>,
    below: Option<f64>,
    multiple: Option<f64>,
}

impl Bounds {
    fn read(keywords: &Map<String, Value>) -> Self {
        let number = |keyword: &str| keywords.get(keyword).and_then(Value::as_f64);
        let flag = |keyword: &str| keywords.get(keyword) == Some(&Value::Bool(true));
        let (minimum, maximum) = (number("minimum"), number("maximum"));
        // In draft 4 the exclusive bounds are flags of the inclusive ones.
        let above = if flag("exclusiveMinimum") { minimum } else { number("exclusiveMinimum") };
        let below = if flag("exclusiveMaximum") { maximum } else { number("exclusiveMaximum") };
        let tighter = |left: Option<f64>, right: Option<f64>, choose: fn(f64, f64) -> f64| match (left, right) {
            (Some(left), Some(right)) => Some(choose(left, right)),
            (left, right) => left.or(right),
        };
        Self {
            low: tighter(minimum, above, f64::max),
            high: tighter(maximum, below, f64::min),
            above,
            below,
            multiple: number("multipleOf").filter(|multiple| *multiple > 0.0),
        }
    }

    fn allow(&self, value: f64) -> bool {
        self.low.is_none_or(|low| value >= low)
            && self.high.is_none_or(|high| value <= high)
            && self.above.is_none_or(|above| value > above)
            && self.below.is_none_or(|below| value < below)
    }
}

fn integer_bounds(keywords: &Map<String, Value>) -> (Option<i128>, Option<i128>) {
    let flag = |keyword: &str| keywords.get(keyword) == Some(&Value::Bool(true));
    let bound = |keyword: &str, up: bool| keywords.get(keyword).and_then(|value| rounded(value, up));
    let mut low = bound("minimum", true);
    let mut high = bound("maximum", false);
    if flag("exclusiveMinimum") {
        low = bound("minimum", false).map(|low| low + 1);
    } else if let Some(above) = bound("exclusiveMinimum", false) {
        low = Some(low.map_or(above + 1, |low| low.max(above + 1)));
    }
    if flag("exclusiveMaximum") {
        high = bound("maximum", true).map(|high| high - 1);
    } else if let Some(below) = bound("exclusiveMaximum", true) {
        high = Some(high.map_or(below - 1, |high| high.min(below - 1)));
    }
    (low, high)
}

/// A bound as an integer, limited to 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "a float converts to the nearest end of the range")]
fn rounded(value: &Value, up: bool) -> Option<i128> {
    if let Some(number) = value.as_i64() {
        return Some(number.into());
    }
    if let Some(number) = value.as_u64() {
        return Some(number.into());
    }
    let number = value.as_f64()?;
    let whole = if up { number.ceil() } else { number.floor() };
    Some((whole as i128).clamp(i64::MIN.into(), u64::MAX.into()))
}

/// The distance between integers that are multiples of `multipleOf`, which may be a fraction.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
fn integer_step(keywords: &Map<String, Value>) -> i128 {
    let Some(multiple) = keywords.get("multipleOf") else { return 1 };
    if let Some(multiple) = multiple.as_u64().filter(|multiple| *multiple > 0) {
        return multiple.into();
    }
    let Some(multiple) = multiple.as_f64().filter(|multiple| *multiple > 0.0) else { return 1 };
    (1..=1000)
        .map(|times| f64::from(times) * multiple)
        .find(|product| (product - product.round()).abs() < 1e-9 && product.round() >= 1.0)
        .map_or(1, |product| product.round() as i128)
}

fn range(low: Option<i128>, high: Option<i128>, usual_low: i128, usual_high: i128, span: i128) -> (i128, i128) {
    match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) if low + span / 10 <= usual_high => (low, usual_high),
        (Some(low), None) => (low, low + span),
        (None, Some(high)) if high - span / 10 >= usual_low => (usual_low, high),
        (None, Some(high)) => (high - span, high),
        (None, None) => (usual_low, usual_high.max(usual_low + span / 10)),
    }
}

/// Names of ratings from 0 to 10.
const RATED: [&str; 7] =
    ["feasibility", "innovation", "impact", "effectiveness", "scalability", "risk_assessment", "timeline"];

/// The usual range of a number with this name.
fn usual_range(name: &str, is_integer: bool) -> (i64, i64) {
    let name = name.to_ascii_lowercase();
    let has = |part: &str| name.contains(part);
    if has("confidence") || has("probability") || has("likelihood") || has("satisfaction") {
        (0, 1)
    } else if has("score") || has("rating") || RATED.into_iter().any(has) {
        (0, 10)
    } else if has("year") {
        (1990, 2026)
    } else if is_integer && has("age") {
        (1, 90)
    } else {
        (1, 100)
    }
}

fn is_number_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "number" | "rank" | "position" | "order" | "no") || name.ends_with("_number")
}

fn readable_step(span: f64) -> f64 {
    let mut step = 0.1;
    while span / step < 20.0 && step > 1e-12 {
        step /= 10.0;
    }
    step
}

/// A multiple of `step`, rounded to decimals so that 3 × 0.1 is 0.3.
fn on_grid(times: f64, step: f64) -> f64 {
    let product = times * step;
    let text = step.to_string();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals == 0 || decimals > 15 {
        return product;
    }
    format!("{product:.decimals$}").parse().unwrap_or(product)
}

fn json_number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn to_json(value: i128) -> Value {
    i64::try_from(value)
        .map(Value::from)
        .or_else(|_| u64::try_from(value).map(Value::from))
        .unwrap_or_else(|_| Value::from(if value < 0 { i64::MIN } else { i64::MAX }))
}
