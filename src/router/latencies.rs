//! A lock-free histogram of latencies.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::time::Duration;

/// The number of buckets for each doubling of the latency, as a power of two. A latency is reported as the middle of its bucket,
/// so the error is at most one thirty-second.
const PRECISION: u32 = 4;

/// Latencies above 2^32 microseconds, about 71 minutes, share the last bucket.
const LARGEST: u32 = 32;

/// One bucket for each of the first microseconds, then 2^[`PRECISION`] for each doubling.
const BUCKETS: usize = ((LARGEST - PRECISION + 1) << PRECISION) as usize;

/// At this number of samples all counts are halved, so that recent samples have more weight.
const MAX_SAMPLES: u32 = 8192;

/// The minimum number of samples for a prediction: of fewer, the 95th percentile is just the slowest one.
const MIN_SAMPLES: u32 = 20;

/// The number of samples that are stored without buckets. A router of one request, and a target of one user's key, rarely need
/// more.
const FIRST: usize = 16;

/// The latencies of one kind of work. The buckets, 1.8 kB, are allocated after the first [`FIRST`] samples.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    /// The bucket of each of the first samples plus one; zero is an empty slot.
    first: [AtomicU16; FIRST],
    buckets: OnceLock<Box<[AtomicU32; BUCKETS]>>,
    samples: AtomicU32,
}

impl Latencies {
    /// Adds one sample. Lock-free.
    pub(super) fn record(&self, latency: Duration) {
        let bucket = bucket_of(latency);
        if self.buckets.get().is_some() || !self.store_first(bucket) {
            let buckets = self.buckets.get().unwrap_or_else(|| {
                // Allocated outside the cell: after a fork meanwhile, the child would wait forever for the initialisation.
                let empty = Box::new([const { AtomicU32::new(0) }; BUCKETS]);
                self.buckets.get_or_init(|| empty)
            });
            if let Some(count) = buckets.get(bucket) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        // Exactly one thread halves the counts. A concurrent reset may remove the sample before it is counted here, so the sum
        // may wrap around zero.
        if self.samples.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == MAX_SAMPLES {
            self.halve();
        }
    }

    /// Returns the `q` quantile, within 3.2 %, as a prediction; `None` if there are too few samples.
    pub(super) fn quantile(&self, q: f64) -> Option<Duration> {
        self.quantile_of(MIN_SAMPLES, q)
    }

    /// Returns the `q` quantile of the samples so far; `None` without samples.
    pub(super) fn observed_quantile(&self, q: f64) -> Option<Duration> {
        self.quantile_of(1, q)
    }

    /// Removes every sample.
    pub(super) fn reset(&self) {
        self.remove_first();
        for bucket in self.buckets.get().into_iter().flat_map(|buckets| buckets.iter()) {
            let count = bucket.swap(0, Ordering::Relaxed);
            self.samples.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Stores one of the first samples. Returns false if every slot is in use.
    fn store_first(&self, bucket: usize) -> bool {
        let Ok(stored) = u16::try_from(bucket + 1) else { return false };
        self.first.iter().any(|slot| slot.compare_exchange(0, stored, Ordering::Relaxed, Ordering::Relaxed).is_ok())
    }

    fn remove_first(&self) {
        for slot in &self.first {
            if slot.swap(0, Ordering::Relaxed) != 0 {
                self.samples.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn quantile_of(&self, min_samples: u32, q: f64) -> Option<Duration> {
        // Each count is read once, so that the ranks are consistent under concurrent writes.
        let mut counts = match self.buckets.get() {
            Some(buckets) => std::array::from_fn(|index| buckets[index].load(Ordering::Relaxed)),
            None => [0_u32; BUCKETS],
        };
        for slot in &self.first {
            let bucket = usize::from(slot.load(Ordering::Relaxed)).checked_sub(1);
            if let Some(count) = bucket.and_then(|bucket| counts.get_mut(bucket)) {
                *count += 1;
            }
        }
        let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if total < u64::from(min_samples) {
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

    /// The first samples are the oldest ones; they are removed.
    fn halve(&self) {
        self.remove_first();
        for bucket in self.buckets.get().into_iter().flat_map(|buckets| buckets.iter()) {
            // Atomic against concurrent samples and resets.
            let taken = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count - count / 2));
            let taken = taken.unwrap_or_default() / 2;
            self.samples.fetch_sub(taken, Ordering::Relaxed);
        }
    }
}

/// Returns the position of the latency's highest bit, followed by the [`PRECISION`] bits after it.
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

    fn with_samples(samples: impl IntoIterator<Item = Duration>) -> Latencies {
        let latencies = Latencies::default();
        samples.into_iter().for_each(|sample| latencies.record(sample));
        latencies
    }

    fn counted(latencies: &Latencies) -> u32 {
        let buckets = latencies.buckets.get().map_or(&[][..], |buckets| &buckets[..]);
        let first = latencies.first.iter().map(|place| u32::from(place.load(Ordering::Relaxed) != 0));
        buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).chain(first).sum()
    }

    /// From under a microsecond to an hour, uniform over magnitudes.
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
                let reported = middle_of(bucket).as_secs_f64() * 1e6;
                assert!((reported / micros as f64 - 1.0).abs() <= 1.0 / 32.0, "{micros}: {reported}");
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
            let reported = with_samples(samples.clone()).observed_quantile(q).unwrap();
            samples.sort_unstable();
            let rank = ((q * samples.len() as f64).ceil() as usize).max(1);
            let (reported, exact) = (reported.as_secs_f64(), samples[rank - 1].as_secs_f64());
            // Less than a microsecond is reported as zero.
            prop_assert!((reported - exact).abs() <= 0.05 * exact + 1e-6, "{reported} for {exact}");
        }
    }

    #[test]
    fn few_samples_are_observed_and_predict_nothing() {
        let latencies = Latencies::default();
        assert_eq!((latencies.observed_quantile(0.5), latencies.quantile(0.5)), (None, None));
        for sample in 1..MIN_SAMPLES {
            latencies.record(Duration::from_millis(10));
            assert!(latencies.observed_quantile(0.95).is_some() && latencies.quantile(0.95).is_none(), "{sample}");
        }
        latencies.record(Duration::from_millis(10));
        assert_eq!(latencies.quantile(0.95), latencies.observed_quantile(0.95));
        assert!(latencies.quantile(0.95).is_some());
    }

    #[test]
    fn an_invalid_quantile_is_clamped() {
        let latencies = with_samples([1, 2, 3].map(Duration::from_micros));
        for (q, micros) in [(-1.0, 1), (0.0, 1), (f64::NAN, 1), (0.5, 2), (1.0, 3), (7.0, 3)] {
            assert_eq!(latencies.observed_quantile(q), Some(Duration::from_micros(micros)), "{q}");
        }
    }

    #[test]
    fn the_first_samples_allocate_nothing() {
        let first = with_samples((0..FIRST as u64).map(Duration::from_millis));
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
        let median = latencies.observed_quantile(0.5).unwrap().as_secs_f64() * 1e6;
        assert!((median / 4000.0 - 1.0).abs() < 0.05, "{median}");
    }

    #[test]
    fn old_samples_lose_weight() {
        let latencies = with_samples(std::iter::repeat_n(Duration::from_millis(1), MAX_SAMPLES as usize));
        assert_eq!(counted(&latencies), (MAX_SAMPLES - FIRST as u32) / 2);
        // The server has become slower.
        (0..MAX_SAMPLES).for_each(|_| latencies.record(Duration::from_secs(1)));
        assert!(latencies.observed_quantile(0.5).unwrap() > Duration::from_millis(900));
        assert!(counted(&latencies) < MAX_SAMPLES);
        assert_eq!(counted(&latencies), latencies.samples.load(Ordering::Relaxed));
    }

    #[test]
    fn a_reset_removes_everything_under_concurrent_writes() {
        let latencies = Latencies::default();
        latencies.reset();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let latencies = &latencies;
                scope.spawn(move || (0..MAX_SAMPLES).for_each(|_| latencies.record(Duration::from_millis(1))));
            }
            scope.spawn(|| (0..100).for_each(|_| latencies.reset()));
        });
        assert_eq!(counted(&latencies), latencies.samples.load(Ordering::Relaxed));
        latencies.reset();
        assert_eq!((counted(&latencies), latencies.observed_quantile(0.5)), (0, None));
        latencies.record(Duration::from_micros(7));
        assert_eq!(latencies.observed_quantile(0.5), Some(Duration::from_micros(7)));
    }
}
