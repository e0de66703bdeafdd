//! How long something takes, as a histogram that calls write to without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

/// Parts that each doubling of the latency is divided into, as a power of two. A latency is told as the middle of its
/// part, so the error is half a part: one thirty-second at most.
const PRECISION: u32 = 4;

/// Latencies up to about 71 minutes are told apart: 2^32 microseconds.
const LARGEST: u32 = 32;

/// One bucket for each microsecond at the beginning, then [`PRECISION`] for each doubling.
const BUCKETS: usize = ((LARGEST - PRECISION + 1) << PRECISION) as usize;

/// At this many samples all counts are halved, so that the latest samples weigh most and an old server's speed is
/// forgotten. It is far more than one request sees.
const FULL: u32 = 8192;

/// How many samples tell what to expect of the next one: of fewer, the 95th percentile is no more than the slowest.
const MIN_SAMPLES: u32 = 20;

/// So many samples are kept as they come. A router of one request, and a target of one user's key, seldom see more.
const FIRST: usize = 16;

/// Latencies of one kind of work. It is a few words, until the sample after the first [`FIRST`] allocates its 1.8 kB.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    /// The buckets of the first samples, each counted from one; zero is a free place.
    first: [AtomicU16; FIRST],
    buckets: OnceLock<Box<[AtomicU32; BUCKETS]>>,
    samples: AtomicU32,
}

impl Latencies {
    /// Adds one sample. Never waits.
    pub(super) fn record(&self, latency: Duration) {
        let bucket = bucket_of(latency);
        if self.buckets.get().is_some() || !self.keep_first(bucket) {
            let buckets = self.buckets.get().unwrap_or_else(|| {
                // Made outside the cell: a process that is forked meanwhile would wait for ever for the one who makes it.
                let empty = Box::new([const { AtomicU32::new(0) }; BUCKETS]);
                self.buckets.get_or_init(|| empty)
            });
            if let Some(count) = buckets.get(bucket) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        // Whoever brings the sample that fills it, and nobody else, halves it. A reset at the same time may take the sample
        // away before it is added here, so the sum may pass through zero.
        if self.samples.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == FULL {
            self.halve();
        }
    }

    /// The latency that the share `q` of the samples did not exceed, at most 3.2 % beside the exact one; `None` before
    /// there are enough samples to expect it of the next one.
    pub(super) fn quantile(&self, q: f64) -> Option<Duration> {
        self.of_at_least(MIN_SAMPLES, q)
    }

    /// As [`Latencies::quantile`], for any number of samples but none: what was, not what to expect.
    pub(super) fn seen(&self, q: f64) -> Option<Duration> {
        self.of_at_least(1, q)
    }

    /// Forgets every sample.
    pub(super) fn reset(&self) {
        self.forget_first();
        for bucket in self.buckets.get().into_iter().flat_map(|buckets| buckets.iter()) {
            let count = bucket.swap(0, Ordering::Relaxed);
            self.samples.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// False where there is no place left.
    fn keep_first(&self, bucket: usize) -> bool {
        let Ok(mark) = u16::try_from(bucket + 1) else { return false };
        self.first.iter().any(|place| place.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed).is_ok())
    }

    fn forget_first(&self) {
        for place in &self.first {
            if place.swap(0, Ordering::Relaxed) != 0 {
                self.samples.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn of_at_least(&self, samples: u32, q: f64) -> Option<Duration> {
        // One reading of each, so that the ranks are those of one set of counts, whatever is written meanwhile.
        let mut counts = match self.buckets.get() {
            Some(buckets) => std::array::from_fn(|index| buckets[index].load(Ordering::Relaxed)),
            None => [0_u32; BUCKETS],
        };
        for place in &self.first {
            let bucket = usize::from(place.load(Ordering::Relaxed)).checked_sub(1);
            if let Some(count) = bucket.and_then(|bucket| counts.get_mut(bucket)) {
                *count += 1;
            }
        }
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if total < u64::from(samples) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank is at most the number of samples, and that is small"
        )]
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let index = counts.iter().position(|count| {
            passed += u64::from(*count);
            passed >= rank
        });
        index.map(middle_of)
    }

    /// The first samples are the oldest ones, and too few to be worth halving.
    fn halve(&self) {
        self.forget_first();
        for bucket in self.buckets.get().into_iter().flat_map(|buckets| buckets.iter()) {
            // A sample that comes meanwhile stays; one that a reset took is not there to be taken again.
            let taken = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count - count / 2));
            let taken = taken.unwrap_or_default() / 2;
            self.samples.fetch_sub(taken, Ordering::Relaxed);
        }
    }
}

/// The position of the latency's highest bit and the [`PRECISION`] bits after it.
fn bucket_of(latency: Duration) -> usize {
    let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
    let doublings = micros.checked_ilog2().unwrap_or(0).saturating_sub(PRECISION);
    ((doublings << PRECISION) + (micros >> doublings)) as usize
}

fn middle_of(bucket: usize) -> Duration {
    let (doublings, part) = match bucket >> PRECISION {
        0 | 1 => (0, bucket),
        more => (more - 1, (bucket & ((1 << PRECISION) - 1)) + (1 << PRECISION)),
    };
    let width = 1_u64 << doublings;
    Duration::from_nanos((part as u64 * width) * 1000 + (width - 1) * 500)
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ranks and microseconds of tests are small"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holding(samples: impl IntoIterator<Item = Duration>) -> Latencies {
        let latencies = Latencies::default();
        samples.into_iter().for_each(|sample| latencies.record(sample));
        latencies
    }

    fn counted(latencies: &Latencies) -> u32 {
        let buckets = latencies.buckets.get().map_or(&[][..], |buckets| &buckets[..]);
        let first = latencies.first.iter().map(|place| u32::from(place.load(Ordering::Relaxed) != 0));
        buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).chain(first).sum()
    }

    /// From under a microsecond to an hour, as many of each magnitude.
    fn any_latency() -> impl Strategy<Value = Duration> {
        (0_u32..42, 0_u64..1024).prop_map(|(magnitude, digits)| {
            Duration::from_nanos(((1024 + digits) << magnitude) >> 10).min(Duration::from_secs(3600))
        })
    }

    #[test]
    fn every_microsecond_value_lies_in_its_bucket() {
        let mut last = 0;
        for exponent in 0..LARGEST {
            for micros in [1_u64 << exponent, (3 << exponent) / 2, (2 << exponent) - 1] {
                let bucket = bucket_of(Duration::from_micros(micros));
                assert!(bucket >= last && bucket < BUCKETS, "{micros}");
                last = bucket;
                let told = middle_of(bucket).as_secs_f64() * 1e6;
                assert!((told / micros as f64 - 1.0).abs() <= 1.0 / 32.0, "{micros}: {told}");
            }
        }
        assert_eq!(bucket_of(Duration::ZERO), 0);
        assert_eq!(bucket_of(Duration::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_five_percent_of_the_exact_one(
            mut samples in prop::collection::vec(any_latency(), 1..400),
            q in 0.0..=1.0_f64,
        ) {
            let told = holding(samples.clone()).seen(q).unwrap();
            samples.sort_unstable();
            let rank = ((q * samples.len() as f64).ceil() as usize).max(1);
            let (told, exact) = (told.as_secs_f64(), samples[rank - 1].as_secs_f64());
            // What is under a microsecond is told as none.
            prop_assert!((told - exact).abs() <= 0.05 * exact + 1e-6, "{told} for {exact}");
        }
    }

    #[test]
    fn few_samples_are_told_and_not_expected_again() {
        let latencies = Latencies::default();
        assert_eq!((latencies.seen(0.5), latencies.quantile(0.5)), (None, None));
        for sample in 1..MIN_SAMPLES {
            latencies.record(Duration::from_millis(10));
            assert!(latencies.seen(0.95).is_some() && latencies.quantile(0.95).is_none(), "{sample}");
        }
        latencies.record(Duration::from_millis(10));
        assert_eq!(latencies.quantile(0.95), latencies.seen(0.95));
        assert!(latencies.quantile(0.95).is_some());
    }

    #[test]
    fn a_share_that_is_none_is_taken_as_the_nearest() {
        let latencies = holding([1, 2, 3].map(Duration::from_micros));
        for (q, micros) in [(-1.0, 1), (0.0, 1), (f64::NAN, 1), (0.5, 2), (1.0, 3), (7.0, 3)] {
            assert_eq!(latencies.seen(q), Some(Duration::from_micros(micros)), "{q}");
        }
    }

    #[test]
    fn nothing_is_allocated_for_the_first_samples_and_little_for_more() {
        let first = holding((0..FIRST as u64).map(Duration::from_millis));
        assert!(first.buckets.get().is_none());
        assert_eq!(counted(&first), FIRST as u32);
        first.record(Duration::from_millis(1));
        assert!(first.buckets.get().is_some());
        assert_eq!(counted(&first), FIRST as u32 + 1);
        assert!(size_of::<Latencies>() <= 56);
        assert!(size_of::<[AtomicU32; BUCKETS]>() < 2048);
    }

    #[test]
    fn no_sample_is_lost_between_threads() {
        let latencies = Latencies::default();
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let latencies = &latencies;
                scope.spawn(move || {
                    (0..1000).for_each(|sample| latencies.record(Duration::from_micros(1000 * thread + sample)));
                });
            }
        });
        assert_eq!((counted(&latencies), latencies.samples.load(Ordering::Relaxed)), (8000, 8000));
        let median = latencies.seen(0.5).unwrap().as_secs_f64() * 1e6;
        assert!((median / 4000.0 - 1.0).abs() < 0.05, "{median}");
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let latencies = holding(std::iter::repeat_n(Duration::from_millis(1), FULL as usize));
        assert_eq!(counted(&latencies), (FULL - FIRST as u32) / 2);
        // The server has become slower, and calls go on.
        (0..FULL).for_each(|_| latencies.record(Duration::from_secs(1)));
        assert!(latencies.seen(0.5).unwrap() > Duration::from_millis(900));
        assert!(counted(&latencies) < FULL);
        assert_eq!(counted(&latencies), latencies.samples.load(Ordering::Relaxed));
    }

    #[test]
    fn a_reset_forgets_everything_even_while_others_write() {
        let latencies = Latencies::default();
        latencies.reset();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let latencies = &latencies;
                scope.spawn(move || (0..FULL).for_each(|_| latencies.record(Duration::from_millis(1))));
            }
            scope.spawn(|| (0..100).for_each(|_| latencies.reset()));
        });
        assert_eq!(counted(&latencies), latencies.samples.load(Ordering::Relaxed));
        latencies.reset();
        assert_eq!((counted(&latencies), latencies.seen(0.5)), (0, None));
        latencies.record(Duration::from_micros(7));
        assert_eq!(latencies.seen(0.5), Some(Duration::from_micros(7)));
    }
}
