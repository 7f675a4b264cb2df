//! From values to lengths.

/// By how much what is no tunnel may be beyond the tunnels and still decide the scale.
const NEAR: f64 = 1.3;

/// At most so many steps on an axis.
const STEPS: f64 = 5.0;

/// A linear axis from zero.
pub(super) struct Scale {
    /// The largest value that is drawn in full.
    most: f64,
    /// Between ticks.
    step: f64,
    /// The length of `most`.
    width: f64,
}

impl Scale {
    /// That holds the values of all tunnels; those of what is none, too, if they are not far beyond.
    pub(super) fn new(values: &[(bool, f64)], width: f64) -> Scale {
        let most_of = |tunnel: bool| {
            values.iter().filter(|(is_tunnel, _)| *is_tunnel == tunnel).map(|(_, value)| *value).fold(0.0, f64::max)
        };
        let (tunnels, others) = (most_of(true), most_of(false));
        let most = if tunnels == 0.0 || others <= NEAR * tunnels { tunnels.max(others) } else { tunnels };
        let most = if most > 0.0 { most } else { 1.0 };
        Scale { most, step: step(most), width }
    }

    /// How long a value is drawn.
    pub(super) fn length(&self, value: f64) -> f64 {
        (value / self.most).clamp(0.0, 1.0) * self.width
    }

    /// Whether a value is drawn as long as it is.
    pub(super) fn holds(&self, value: f64) -> bool {
        value <= self.most
    }

    /// Round values from zero on.
    pub(super) fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.most / self.step).floor() as u32;
        (0..=count).map(|number| f64::from(number) * self.step)
    }
}

/// One, two or five times a power of ten, such that there are not too many.
fn step(most: f64) -> f64 {
    let least = most / STEPS;
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least).unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_of_a_tunnel_fills_the_width() {
        let scale = Scale::new(&[(true, 8.0), (true, 2.0), (false, 32.0)], 400.0);
        assert_eq!([2.0, 8.0, 32.0].map(|value| scale.length(value)), [100.0, 400.0, 400.0]);
        assert_eq!([8.0, 32.0].map(|value| scale.holds(value)), [true, false]);
    }

    #[test]
    fn what_is_no_tunnel_counts_if_it_is_near_or_alone() {
        assert!(Scale::new(&[(true, 8.0), (false, 10.0)], 400.0).holds(10.0));
        assert!(Scale::new(&[(false, 32.0)], 400.0).holds(32.0));
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |most: f64| Scale::new(&[(true, most)], 1.0).ticks().collect::<Vec<_>>();
        assert_eq!(ticks(9.5), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(72.0), [0.0, 20.0, 40.0, 60.0]);
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.600_000_000_000_000_1, 0.8, 1.0]);
        assert_eq!(ticks(0.0), ticks(1.0), "nothing was carried");
    }
}
