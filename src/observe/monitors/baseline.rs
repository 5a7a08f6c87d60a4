//! What is usual for one caller: sums over a sliding window, and what that window came to at this hour of the week.

use std::collections::VecDeque;

use super::sketch::Sketch;

const HOUR_S: i64 = 3_600;
/// Hours of a week.
const SLOTS: usize = 168;
/// How many days the highest window is remembered.
const DAYS: usize = 28;
/// Weight of the newest window in the moving averages.
const NEWEST: f64 = 0.3;
/// Least deviation that is believed, in natural logarithms: counts of people's work are never steadier.
const DEVIATION_MIN: f64 = 0.25;
/// So many windows must have been seen before an average is believed.
const WINDOWS_MIN: u16 = 3;
/// A window counts at most this often the highest one before it, so that an attack does not teach what is usual.
const GROWTH_MAX: f64 = 1.25;

/// Sums over the last while, in buckets.
#[derive(Debug)]
pub(super) struct Ring {
    width_s: i64,
    buckets: i64,
    held: VecDeque<Bucket>,
    /// Union of all that is held.
    distinct: Sketch,
}

#[derive(Debug, Default)]
struct Bucket {
    unit: i64,
    sums: [f64; 2],
    distinct: Sketch,
}

impl Ring {
    pub(super) fn new(window_s: i64) -> Self {
        let buckets = if window_s >= 24 * HOUR_S { 48 } else { 60 };
        let width_s = (window_s / buckets).max(1);
        Self {
            width_s,
            buckets: window_s.div_euclid(width_s).max(1),
            held: VecDeque::new(),
            distinct: Sketch::default(),
        }
    }

    /// Lets go what is older than the window that ends with `at_s`.
    pub(super) fn forget(&mut self, at_s: i64) {
        let oldest = at_s.div_euclid(self.width_s) - self.buckets;
        let before = self.held.len();
        while self.held.front().is_some_and(|b| b.unit <= oldest) {
            self.held.pop_front();
        }
        if self.held.len() < before {
            self.distinct = Sketch::default();
            for bucket in &self.held {
                self.distinct.join(&bucket.distinct);
            }
        }
    }

    fn bucket(&mut self, at_s: i64) -> &mut Bucket {
        let unit = at_s.div_euclid(self.width_s);
        // What comes late counts as now: the log is in order but for milliseconds.
        if self.held.back().is_none_or(|b| b.unit < unit) {
            self.held.push_back(Bucket {
                unit,
                ..Bucket::default()
            });
        }
        let last = self.held.len() - 1;
        &mut self.held[last]
    }

    pub(super) fn add(&mut self, at_s: i64, sums: [f64; 2]) {
        let bucket = self.bucket(at_s);
        for (sum, more) in bucket.sums.iter_mut().zip(sums) {
            *sum += more;
        }
    }

    pub(super) fn add_distinct(&mut self, at_s: i64, name: u64) {
        self.bucket(at_s).distinct.add(name);
        self.distinct.add(name);
    }

    pub(super) fn sums(&self) -> [f64; 2] {
        self.held.iter().fold([0.0; 2], |[a, b], bucket| {
            [a + bucket.sums[0], b + bucket.sums[1]]
        })
    }

    pub(super) fn distinct(&self) -> f64 {
        self.distinct.count()
    }
}

/// Moving average and mean deviation of ln(1 + x).
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    windows: u16,
    mean: f64,
    deviation: f64,
}

impl Average {
    fn learn(&mut self, x: f64) {
        let y = x.ln_1p();
        if self.windows == 0 {
            self.mean = y;
            self.deviation = 2.0 * DEVIATION_MIN;
        } else {
            self.deviation += NEWEST * ((y - self.mean).abs() - self.deviation);
            self.mean += NEWEST * (y - self.mean);
        }
        self.windows = self.windows.saturating_add(1);
    }

    fn upper(&self) -> Option<f64> {
        (self.windows >= WINDOWS_MIN)
            .then(|| (self.mean + 3.0 * self.deviation.max(DEVIATION_MIN)).exp_m1())
    }
}

/// Where in the week a window stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Hour of the week from Monday 0:00 on, local time.
    pub(super) hour: usize,
}

impl Slot {
    /// The hour of the day, weekdays and weekends apart.
    fn of_day(self) -> usize {
        let weekend = self.hour / 24 >= 5;
        self.hour % 24 + if weekend { 24 } else { 0 }
    }

    fn before(self) -> Self {
        Self {
            hour: (self.hour + SLOTS - 1) % SLOTS,
        }
    }
}

/// What windows came to.
#[derive(Debug)]
pub(super) struct Baseline {
    week: Vec<Average>,
    day: Vec<Average>,
    /// The highest of each day: day number and value.
    highest: VecDeque<(i64, f64)>,
    windows: u32,
}

impl Default for Baseline {
    fn default() -> Self {
        Self {
            week: vec![Average::default(); SLOTS],
            day: vec![Average::default(); 48],
            highest: VecDeque::new(),
            windows: 0,
        }
    }
}

impl Baseline {
    /// Windows that have been learned.
    pub(super) fn windows(&self) -> u32 {
        self.windows
    }

    /// The highest usual window of the last 28 days.
    pub(super) fn highest(&self) -> f64 {
        self.highest.iter().fold(0.0, |most, (_, x)| most.max(*x))
    }

    /// A window of `slot` on day number `day` has ended. `warm`: what is usual is known by now.
    pub(super) fn learn(&mut self, slot: Slot, day: i64, x: f64, warm: bool) {
        let highest = self.highest();
        let x = if warm && highest > 0.0 {
            x.min(GROWTH_MAX * highest)
        } else {
            x
        };
        self.windows = self.windows.saturating_add(1);
        self.week[slot.hour % SLOTS].learn(x);
        self.day[slot.of_day()].learn(x);
        match self.highest.back_mut() {
            Some((last, most)) if *last == day => *most = most.max(x),
            _ => self.highest.push_back((day, x)),
        }
        while self.highest.len() > DAYS {
            self.highest.pop_front();
        }
    }

    /// Most that is usual at `slot`, times `factor`: of the highest window, or of this time of the week if that is
    /// less.
    pub(super) fn limit(&self, slot: Slot, factor: f64) -> f64 {
        let of = |slot: Slot| {
            self.week[slot.hour % SLOTS]
                .upper()
                .or(self.day[slot.of_day()].upper())
        };
        // A window that slides reaches into the hour before.
        let usual = match (of(slot), of(slot.before())) {
            (Some(now), Some(before)) => now.max(before),
            _ => f64::INFINITY,
        };
        factor * self.highest().min(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_slides() {
        let mut ring = Ring::new(HOUR_S);
        for minute in 0..120 {
            ring.forget(minute * 60);
            ring.add(minute * 60, [1.0, 2.0]);
            ring.add_distinct(minute * 60, (minute % 90) as u64);
        }
        assert_eq!(ring.sums(), [60.0, 120.0]);
        assert_eq!(ring.distinct(), 60.0);
        ring.forget(120 * 60 + 30 * 60);
        assert_eq!(ring.sums(), [29.0, 58.0]);
        ring.forget(1_000_000);
        assert_eq!(ring.distinct(), 0.0);
    }

    #[test]
    fn nights_are_judged_by_nights_and_an_attack_teaches_little() {
        let mut baseline = Baseline::default();
        for hour in 0..4 * SLOTS {
            let slot = Slot { hour: hour % SLOTS };
            let busy = (8..18).contains(&(hour % 24));
            let x = if busy { 1_000.0 } else { 10.0 };
            baseline.learn(slot, (hour / 24) as i64, x, true);
        }
        let (noon, night) = (Slot { hour: 12 }, Slot { hour: 3 });
        assert_eq!(baseline.limit(noon, 2.0), 2_000.0);
        assert!(baseline.limit(night, 2.0) < 60.0);
        baseline.learn(noon, 28, 50_000.0, true);
        assert_eq!(baseline.highest(), 1_250.0);
    }
}
