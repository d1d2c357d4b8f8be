//! The report as text: the verdict first.

use std::fmt::{self, Display, Formatter};

use super::report::{CountRow, Latency, Report, Window};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = |yes, good: &'static str, bad: &'static str| if yes { good } else { bad };
        writeln!(
            f,
            "{}: {} {}/{}, audit {}",
            word(self.passed, "PASSED", "FAILED"),
            word(self.sold_out, "SOLD OUT", "NOT SOLD OUT"),
            self.sold,
            self.capacity,
            word(self.audit_clean, "clean", "NOT clean"),
        )?;
        for problem in &self.problems {
            writeln!(f, "  - {problem}")?;
        }
        writeln!(
            f,
            "\n{} of {} places, {} server processes, fsync on, {} cores for everything; \
             {} buyers/s, seed {}",
            self.venue, self.capacity, self.servers, self.cores, self.rate_per_s, self.seed
        )?;
        self.throughput(f)?;
        self.latencies(f)?;
        self.counts(f)?;
        self.processor(f)?;
        writeln!(f, "\nAudit\n{}", self.audit.trim_end())
    }
}

impl Report {
    fn throughput(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nSales                 seconds  purchases  purchases/s  places/s   holds/s")?;
        let mut row = |name: &str, window: &Window| {
            writeln!(
                f,
                "  {name:<18} {:>8.1} {:>10} {:>12.0} {:>9.0} {:>9.0}",
                window.seconds,
                window.purchases,
                window.purchases_per_s,
                window.places_per_s,
                window.holds_per_s
            )
        };
        row("until 95 % sold", &self.rush)?;
        row("until the last", &self.whole)?;
        writeln!(
            f,
            "  peaks: {:.0} purchases/s over 1 s, {:.0} over 5 s; {:.0} holds/s over 1 s",
            self.peak_purchases_per_s_1s, self.peak_purchases_per_s_5s, self.peak_holds_per_s_1s
        )
    }

    fn latencies(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nLatency in ms         count |     p50      p95      p99      max | of it on the \
             wire: p50      p99      max"
        )?;
        for row in &self.steps {
            let (step, wire) = (row.step, &row.service);
            write!(f, "  {step:<18}{}", cells(&row.wanted))?;
            writeln!(f, " | {:>21.1} {:>8.1} {:>8.1}", wire.p50_ms, wire.p99_ms, wire.max_ms)?;
        }
        writeln!(f, "  {:<18}{}", "whole purchase", cells(&self.purchase))?;
        writeln!(f, "  {:<18}{}", "generator late", cells(&self.generator.late))?;
        writeln!(f, "  {:<18}{}", "wait, connection", cells(&self.generator.queued))?;
        writeln!(
            f,
            "  connections: {} opened in all, at most {} to each process",
            self.connections_opened, self.connections
        )
    }

    fn counts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nBuyers {:>28}", self.generator.buyers)?;
        for (ending, count) in &self.endings {
            writeln!(f, "  {ending:<28} {count:>6}")?;
        }
        let mut list = |title: &str, rows: &[CountRow]| {
            if rows.is_empty() {
                return writeln!(f, "{title}: none");
            }
            writeln!(f, "{title}")?;
            rows.iter().try_for_each(|row| {
                writeln!(f, "  {:<10} {:<22} {:>8}", row.step, row.code, row.count)
            })
        };
        list("Refusals (not counted as throughput)", &self.refusals)?;
        list("Turned away, then repeated", &self.turned_away)?;
        list("Mistakes", &self.mistakes)?;
        self.samples.iter().try_for_each(|sample| writeln!(f, "    {sample}"))
    }

    fn processor(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nProcessor          seconds    cores   ms per purchase")?;
        for row in &self.cpu {
            let (seconds, cores) = (row.seconds, row.cores);
            writeln!(
                f,
                "  {:<14} {seconds:>9.1} {cores:>8.2} {:>17.2}",
                row.process, row.ms_per_purchase
            )?;
        }
        Ok(())
    }
}

fn cells(latency: &Latency) -> String {
    let Latency { count, p50_ms, p95_ms, p99_ms, max_ms } = latency;
    format!("{count:>7} | {p50_ms:>7.1} {p95_ms:>8.1} {p99_ms:>8.1} {max_ms:>8.1}")
}
