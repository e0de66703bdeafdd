//! The rates against a list of everything that was admitted.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::window::Window;
use crate::config::Limits;

const MINUTE: Duration = Duration::from_secs(60);

/// How much later than needed a burst may be forgotten.
const GRAIN: Duration = Duration::from_millis(500);

fn per_minute(requests: Option<u32>, tokens: Option<u64>) -> Limits {
    Limits { concurrent: None, requests_per_minute: requests, tokens_per_minute: tokens }
}

#[test]
fn a_burst_takes_the_whole_limit_and_the_next_one_waits_for_the_first() {
    let (mut window, start) = (Window::default(), Instant::now());
    let limits = per_minute(Some(3), None);
    for second in 0..3 {
        let now = start + Duration::from_secs(second);
        assert_eq!(window.ready_in(limits, 0, now), Duration::ZERO);
        window.add(1, 0, now);
    }
    let now = start + Duration::from_secs(10);
    assert_eq!(window.ready_in(limits, 0, now), Duration::from_secs(50));
    assert_eq!(window.ready_in(per_minute(Some(2), None), 0, now), Duration::from_secs(51));
    assert_eq!(window.ready_in(per_minute(Some(4), None), 0, now), Duration::ZERO);
    assert_eq!(window.ready_in(limits, 0, start + MINUTE), Duration::ZERO);
}

#[test]
fn what_a_request_took_replaces_what_it_was_estimated_at() {
    let (mut window, now) = (Window::default(), Instant::now());
    let limits = per_minute(None, Some(100));
    let first = window.add(1, 80, now);
    assert_eq!(window.ready_in(limits, 50, now), MINUTE);
    window.settle(first, 80, 40, now);
    assert_eq!(window.ready_in(limits, 50, now), Duration::ZERO);
    let later = now + Duration::from_secs(30);
    let second = window.add(1, 50, later);
    window.settle(second, 50, 90, later + Duration::from_secs(20));
    // The 40 more that it took count from when that was known.
    assert_eq!(window.ready_in(limits, 100, later + MINUTE), Duration::from_secs(20));
}

#[test]
fn a_request_larger_than_the_limit_has_a_minute_to_itself() {
    let (mut window, now) = (Window::default(), Instant::now());
    let limits = per_minute(None, Some(100));
    assert_eq!(window.ready_in(limits, 1000, now), Duration::ZERO);
    window.add(1, 1, now);
    assert_eq!(window.ready_in(limits, 1000, now), MINUTE);
    window.add(1, 1000, now + MINUTE);
    assert_eq!(window.ready_in(limits, 1, now + MINUTE), MINUTE);
}

#[test]
fn a_settlement_that_comes_after_its_minute_gives_nothing_back() {
    let (mut window, now) = (Window::default(), Instant::now());
    let old = window.add(1, 100, now);
    let later = now + MINUTE;
    window.add(1, 70, later);
    window.settle(old, 100, 0, later);
    assert_eq!(window.ready_in(per_minute(None, Some(100)), 31, later), MINUTE);
    assert_eq!(window.ready_in(per_minute(None, Some(100)), 30, later), Duration::ZERO);
}

#[derive(Debug, Clone)]
enum Op {
    Pass(u64),
    Ask(u64),
    Settle(prop::sample::Index, u64),
}

/// What was admitted: when, and as how many tokens it counts.
struct Counted {
    at: Instant,
    requests: u64,
    tokens: u64,
}

/// What counts at `now`, of the last `time`.
fn sum(log: &[Counted], now: Instant, time: Duration) -> (u64, u64) {
    let recent = log.iter().filter(|counted| now - counted.at < time);
    recent.fold((0, 0), |(requests, tokens), counted| (requests + counted.requests, tokens + counted.tokens))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_minute_has_more_than_the_limit_and_nobody_waits_longer_than_needed(
        operations in prop::collection::vec(prop_oneof![
            prop_oneof![0_u64..400, 0_u64..30_000].prop_map(Op::Pass),
            (0_u64..60).prop_map(Op::Ask),
            (any::<prop::sample::Index>(), 0_u64..120).prop_map(|(which, tokens)| Op::Settle(which, tokens)),
        ], 0..200),
        requests in 1_u32..12,
        limit in 1_u64..200,
    ) {
        let limits = per_minute(Some(requests), Some(limit));
        let (mut window, mut now) = (Window::default(), Instant::now());
        let mut log: Vec<Counted> = Vec::new();
        let mut out = Vec::new();
        let fits = |(sent, taken): (u64, u64), tokens: u64| {
            sent < u64::from(requests) && (taken + tokens <= limit || (tokens > limit && taken == 0))
        };
        for operation in operations {
            match operation {
                Op::Pass(ms) => now += Duration::from_millis(ms),
                Op::Ask(tokens) => {
                    let wait = window.ready_in(limits, tokens, now);
                    if wait.is_zero() {
                        prop_assert!(fits(sum(&log, now, MINUTE), tokens));
                        out.push((window.add(1, tokens, now), log.len()));
                        log.push(Counted { at: now, requests: 1, tokens });
                    } else {
                        prop_assert!(!fits(sum(&log, now, MINUTE + GRAIN), tokens));
                        // The wait that is told is enough, and but for the grain no shorter one is.
                        prop_assert!(fits(sum(&log, now + wait, MINUTE), tokens));
                        if let Some(short) = wait.checked_sub(Duration::from_millis(1)) {
                            prop_assert!(!fits(sum(&log, now + short, MINUTE + GRAIN), tokens));
                        }
                    }
                }
                Op::Settle(which, tokens) if !out.is_empty() => {
                    let (number, index) = out.swap_remove(which.index(out.len()));
                    let estimate = log[index].tokens;
                    window.settle(number, estimate, tokens, now);
                    if tokens > estimate {
                        log.push(Counted { at: now, requests: 0, tokens: tokens - estimate });
                    } else {
                        log[index].tokens = tokens;
                    }
                }
                Op::Settle(..) => {}
            }
        }
    }
}
