//! What is running, and how much is left: a bar in a terminal, a line a metric elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::profile::Budget;
use crate::record::MetricId;

/// Progress of one bench process.
pub struct Progress {
    bench: String,
    total: usize,
    done: usize,
    start: Instant,
    /// What a metric may cost before anything is known: warm-up, samples, and about as much for preparing it.
    guess: Duration,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// `total` metrics are ahead.
    pub fn start(bench: &str, total: usize, budget: &Budget) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Self {
            bench: bench.into(),
            total,
            done: 0,
            start: Instant::now(),
            guess: budget.warm_up + budget.sampling,
            bar,
        }
    }

    /// `id` comes next.
    pub fn next(&mut self, id: &MetricId) {
        let left = self.left();
        self.done += 1;
        let line = format!(
            "{} {} of {}, about {} left: {id}",
            self.bench,
            self.done,
            self.total,
            human(left)
        );
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.enable_steady_tick(Duration::from_millis(200));
            }
            None => eprintln!("{line}"),
        }
    }

    /// Something else is about to print.
    pub fn pause(&self) {
        if let Some(bar) = &self.bar {
            bar.disable_steady_tick();
            bar.set_message("");
            bar.finish_and_clear();
            bar.reset();
        }
    }

    fn left(&self) -> Duration {
        let each = match u32::try_from(self.done) {
            Ok(done) if done > 0 => self.start.elapsed() / done,
            _ => self.guess,
        };
        each * (self.total - self.done) as u32
    }
}

/// `95 s` or `3 min`.
fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_naturally() {
        assert_eq!(human(Duration::from_millis(900)), "0 s");
        assert_eq!(human(Duration::from_secs(119)), "119 s");
        assert_eq!(human(Duration::from_secs(121)), "3 min");
    }
}
