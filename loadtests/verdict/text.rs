//! The report as text: the verdict first.

use std::fmt::{self, Display, Formatter};

use super::summary::{CountRow, Latency, Summary, Window};
use super::words::price;

impl Display for Summary {
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
        for check in &self.checks {
            let held = word(check.held, "held", "NOT HELD");
            writeln!(f, "  {held:<9} {:<22} {}, {}", check.what, check.was, check.limit)?;
        }
        let scenario = &self.scenario;
        let machine = if self.is_elsewhere() {
            "a deployment's own servers".to_owned()
        } else {
            let (servers, cores) = (scenario.servers, self.cores);
            format!("{servers} server processes, fsync on, {cores} cores for everything")
        };
        writeln!(
            f,
            "\n{}: {} places, {} visitors, {machine}, seed {}",
            scenario.name, self.capacity, self.generator.visitors, scenario.seed
        )?;
        self.throughput(f)?;
        self.latencies(f)?;
        self.counts(f)?;
        self.processor(f)?;
        writeln!(f, "\nAudit\n{}", self.audit.trim_end())
    }
}

impl Summary {
    fn throughput(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nSales, from the opening   seconds  purchases  purchases/s  places/s")?;
        let mut row = |name: &str, window: &Window| {
            writeln!(
                f,
                "  {name:<22} {:>8.1} {:>10} {:>12.0} {:>9.0}",
                window.seconds, window.purchases, window.purchases_per_s, window.places_per_s,
            )
        };
        row("until 95 % sold", &self.rush)?;
        row("until the last", &self.whole)?;
        writeln!(
            f,
            "  peaks: {:.0} purchases/s over 1 s, {:.0} over 5 s",
            self.peak_purchases_per_s_1s, self.peak_purchases_per_s_5s
        )
    }

    fn latencies(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nLatency in ms         count |     p50      p95      p99      max | of it on the \
             wire: p50      p99      max"
        )?;
        for row in &self.steps {
            let (step, wire) = (row.step.name(), &row.service);
            write!(f, "  {step:<18}{}", cells(&row.wanted))?;
            writeln!(f, " | {:>21.1} {:>8.1} {:>8.1}", wire.p50_ms, wire.p99_ms, wire.max_ms)?;
        }
        for (name, latency) in [
            ("whole purchase", &self.purchase),
            ("refusals", &self.refused),
            ("generator late", &self.generator.late),
            ("wait, connection", &self.generator.queued),
        ] {
            writeln!(f, "  {name:<18}{}", cells(latency))?;
        }
        let generator = &self.generator;
        writeln!(
            f,
            "  at most {} visitors and {} connections at once; {} connections opened in all",
            generator.most_here, generator.most_connections, generator.connections_opened
        )?;
        self.shards.iter().try_for_each(|row| {
            writeln!(
                f,
                "  generator {}: {} visitors, {} connections at once, late p99 {:.1} ms{}",
                row.shard,
                row.visitors,
                row.most_connections,
                row.late.p99_ms,
                if row.interrupted { ", interrupted" } else { "" }
            )
        })
    }

    fn counts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nFunnel")?;
        for (name, count) in &self.funnel {
            writeln!(f, "  {name:<30} {count:>8}")?;
        }
        writeln!(f, "Visits by how they ended")?;
        for (ending, count) in &self.endings {
            writeln!(f, "  {:<30} {count:>8}", ending.name())?;
        }
        if self.generator.stayed_away > 0 {
            writeln!(
                f,
                "  {:<30} {:>8}",
                "read \"sold out\", stayed away", self.generator.stayed_away
            )?;
        }
        writeln!(f, "Visitors by kind                  came   let in   bought  tickets")?;
        for row in &self.personas {
            let (name, bot) = (row.persona.name(), if row.is_bot { " (bot)" } else { "" });
            writeln!(
                f,
                "  {:<28} {:>8} {:>8} {:>8} {:>8}",
                format!("{name}{bot}"),
                row.came,
                row.admitted,
                row.bought,
                row.tickets
            )?;
        }
        let mut list = |title: &str, rows: &[CountRow]| {
            if rows.is_empty() {
                return writeln!(f, "{title}: none");
            }
            writeln!(f, "{title}")?;
            rows.iter().try_for_each(|row| {
                writeln!(f, "  {:<12} {:<22} {:>8}", row.step.name(), row.code, row.count)
            })
        };
        list("Refusals (not counted as throughput)", &self.refusals)?;
        list("Turned away, then repeated", &self.turned_away)?;
        list("Errors", &self.mistakes)?;
        self.samples.iter().try_for_each(|sample| writeln!(f, "    {sample}"))
    }

    fn processor(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_elsewhere() {
            return Ok(());
        }
        writeln!(f, "\nProcessor          seconds    cores   ms per purchase")?;
        for row in &self.cpu {
            let (seconds, cores) = (row.seconds, row.cores);
            writeln!(
                f,
                "  {:<14} {seconds:>9.1} {cores:>8.2} {:>17.2}",
                row.process, row.ms_per_purchase
            )?;
        }
        if let Some(cost) = &self.cost {
            writeln!(
                f,
                "1,000 tickets cost {} {} of processor time, {} with the machine for the whole run \
                 ({} at {} an hour)",
                price(cost.used_per_1000),
                cost.currency,
                price(cost.machine_per_1000),
                cost.machine,
                cost.per_hour
            )?;
        }
        for row in &self.chaos {
            let (at_s, what, took_s) = (row.at_s, &row.what, row.took_s);
            writeln!(f, "Chaos at {at_s:+} s: {what}, all back after {took_s:.1} s")?;
        }
        Ok(())
    }
}

fn cells(latency: &Latency) -> String {
    let Latency { count, p50_ms, p95_ms, p99_ms, max_ms } = latency;
    format!("{count:>8} | {p50_ms:>7.1} {p95_ms:>8.1} {p99_ms:>8.1} {max_ms:>8.1}")
}
