//! Compares the table in `docs/explanation/calls.md` with [`rule`](super::rule).

use super::*;

/// The page with the table between two marks. Its second column describes the class and is not compared.
const PAGE: &str = include_str!("../../../docs/explanation/calls.md");
const BEGIN: &str = "<!-- the table: begin -->";
const END: &str = "<!-- the table: end -->";

#[test]
fn the_page_has_the_rule_of_every_class() {
    let expected: Vec<String> = ErrorKind::ALL.into_iter().flat_map(rows).collect();
    assert_eq!(on_the_page(), expected, "docs/explanation/calls.md and the table in policy.rs differ");
}

/// Returns the row of most providers, followed by one for each provider that differs.
fn rows(kind: ErrorKind) -> Vec<String> {
    let rules = Provider::ALL.map(|provider| (provider, super::rule(kind, provider)));
    let count = |wanted: Rule| rules.iter().filter(|(_, rule)| *rule == wanted).count();
    let (_, usual) = rules.into_iter().max_by_key(|(_, rule)| count(*rule)).unwrap();
    let others = rules.into_iter().filter(|(_, rule)| *rule != usual);
    let mut rows = vec![row(&format!("`{}`", kind.as_str()), usual)];
    rows.extend(others.map(|(provider, rule)| row(&format!("`{}` at `{provider}`", kind.as_str()), rule)));
    rows
}

fn row(class: &str, rule: Rule) -> String {
    let retry = match rule.retry {
        Retry::Never => "never",
        Retry::AfterPause => "after a pause",
        Retry::WhenLoaded => "after pauses, until it is loaded",
        Retry::WithCorrection => "at once, with the errors",
        Retry::SimplerSchema => "at once, with a simpler schema",
        Retry::WithoutParameter => "at once, without the parameter",
        Retry::MoreHeadroom => "at once, with more headroom",
        Retry::LessThinking => "at once, with less thinking",
    };
    let fallback = match rule.fallback {
        Fallback::Allowed => "yes",
        Fallback::OnRefusal => "with `on_refusal=\"next\"`",
        Fallback::Never => "no",
    };
    let health = match rule.health {
        HealthImpact::Neutral => "none".to_owned(),
        HealthImpact::Healthy => "healthy".to_owned(),
        HealthImpact::Failure => "one failure".to_owned(),
        HealthImpact::SlowFailure => format!("one failure, if it took {} s", MIN_SIGNIFICANT_LATENCY.as_secs()),
        HealthImpact::Cooldown => "cooldown for `Retry-After`, otherwise one failure".to_owned(),
        HealthImpact::DailyCooldown => {
            format!("cooldown for the day, at most {} min", MAX_DAILY_COOLDOWN.as_secs() / 60)
        }
        HealthImpact::Demotion => format!("demoted for {} s", DEMOTION.as_secs()),
    };
    let attempts = if rule.max_attempts == u32::MAX { "no limit".to_owned() } else { rule.max_attempts.to_string() };
    format!("{class} | {retry} | {attempts} | {fallback} | {health}")
}

/// Returns the rows of the page without their second column.
fn on_the_page() -> Vec<String> {
    let (_, table) = PAGE.split_once(BEGIN).unwrap();
    let (table, _) = table.split_once(END).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let mut cells: Vec<_> = line.trim_matches(['|', ' ']).split('|').map(str::trim).collect();
        cells.remove(1);
        cells.join(" | ")
    })
    .collect()
}
