//! Rates over windows of time.

use std::time::Duration;

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

#[cfg(test)]
mod tests {
    use super::*;

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
