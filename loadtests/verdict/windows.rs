//! Rates over windows of time.

use std::time::Duration;

use super::tally::Buckets;

/// Parts of a run whose figures are compared to learn how noisy they are.
const PARTS: usize = 10;

/// The most of these moments (in order) that fall into any window of this width, per second.
pub fn peak(moments: &[Duration], width: Duration) -> f64 {
    let (mut most, mut from) = (0, 0);
    for (at, moment) in moments.iter().enumerate() {
        while moment.saturating_sub(moments[from]) >= width {
            from += 1;
        }
        most = most.max(at + 1 - from);
    }
    most as f64 / width.as_secs_f64()
}

/// So many over so long, per second; 0 over no time at all.
pub fn rate(count: usize, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { count as f64 / over.as_secs_f64() }
}

/// Twice the standard error of a rate, from the rates of equal parts of the time.
pub fn noise_of_rate(moments: &[Duration], over: Duration) -> f64 {
    if over.is_zero() {
        return 0.0;
    }
    let part = over.as_secs_f64() / PARTS as f64;
    let mut counts = [0.0; PARTS];
    for moment in moments {
        counts[((moment.as_secs_f64() / part) as usize).min(PARTS - 1)] += 1.0 / part;
    }
    two_standard_errors(&counts)
}

/// Twice the standard error of a quantile in milliseconds, from parts with equally many answers.
pub fn noise_of_quantile<'a>(seconds: impl Iterator<Item = &'a Buckets>, share: f64) -> f64 {
    let seconds: Vec<&Buckets> = seconds.filter(|second| second.count() > 0).collect();
    let all: u64 = seconds.iter().map(|second| second.count()).sum();
    let (mut parts, mut part, mut sum) = (Vec::new(), Buckets::default(), 0);
    for second in seconds {
        part.add(second);
        sum += second.count();
        if sum * PARTS as u64 >= all * (parts.len() as u64 + 1) {
            parts.extend(part.quantile_ms(share));
            part = Buckets::default();
        }
    }
    two_standard_errors(&parts)
}

fn two_standard_errors(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    2.0 * (squares / (count - 1.0) / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_rate_is_not_noisy() {
        let even: Vec<Duration> = (0..1_000).map(|at| Duration::from_millis(at * 10)).collect();
        let over = Duration::from_secs(10);
        assert!(noise_of_rate(&even, over) < 1.0);
        let (half, _) = even.split_at(500);
        assert!(noise_of_rate(half, over) > 20.0);
        assert_eq!(two_standard_errors(&[3.0]), 0.0);
    }

    #[test]
    fn a_peak_is_the_busiest_window_wherever_it_begins() {
        let moments = [0, 900, 1_100, 1_200, 1_850, 5_000].map(Duration::from_millis);
        let second = Duration::from_secs(1);
        assert!((peak(&moments, second) - 4.0).abs() < 1e-9);
        assert!((peak(&moments, second * 10) - 0.6).abs() < 1e-9);
        assert!(peak(&[], second).abs() < 1e-9);
        assert!(rate(5, Duration::ZERO).abs() < 1e-9);
        assert!((rate(5, second * 2) - 2.5).abs() < 1e-9);
    }
}
