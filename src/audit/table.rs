//! A report for people.

use std::fmt::Write;

use super::{Check, Report};

/// Widths of the first columns; longer names push the rest to the right.
const NUMBER: usize = 3;
const NAME: usize = 32;

impl Report {
    /// The report as a table, violations under their checks.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut line = |line: std::fmt::Arguments<'_>| {
            writeln!(text, "{line}").expect("a String takes any text");
        };
        line(format_args!("{:>NUMBER$}  {:<NAME$}  {:<8}  proves", "inv", "check", "result"));
        for check in &self.checks {
            let Check { invariant, name, proves, .. } = check;
            let result = match (check.violations, &check.skipped) {
                (0, None) => "ok".to_owned(),
                (0, Some(_)) => "skipped".to_owned(),
                (n, _) => format!("{n} WRONG"),
            };
            line(format_args!("{invariant:>NUMBER$}  {name:<NAME$}  {result:<8}  {proves}"));
            if let Some(why) = &check.skipped {
                line(format_args!("{:>NUMBER$}    skipped: {why}", ""));
            }
            for example in &check.examples {
                line(format_args!("{:>NUMBER$}    - {example}", ""));
            }
            let listed = u64::try_from(check.examples.len()).unwrap_or(0);
            if check.violations > listed {
                line(format_args!("{:>NUMBER$}    … and {} more", "", check.violations - listed));
            }
        }
        let wrong = self.violated().len();
        let skipped = self.checks.iter().filter(|check| check.skipped.is_some()).count();
        let verdict = if self.clean { "clean" } else { "NOT CLEAN" };
        line(format_args!(
            "\n{verdict}: {} checks, {wrong} violated, {skipped} skipped; {} events compared with \
             Redis{}; {} ms",
            self.checks.len(),
            self.events,
            if self.at_rest { ", at rest" } else { "" },
            self.took_ms,
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::About;

    #[test]
    fn violations_stand_under_their_check() {
        let about = About { invariant: "1", name: "one claim", proves: "never twice" };
        let other = About { name: "other", ..about };
        let checks =
            vec![about.found(3, vec!["place 7".into()]), other.skipped("holds only at rest")];
        let report = Report { checks, clean: false, at_rest: false, events: 1, took_ms: 5 };
        let table = report.table();
        assert!(table.contains("3 WRONG   never twice\n       - place 7\n       … and 2 more\n"));
        assert!(table.contains("skipped: holds only at rest"));
        assert!(table.contains("NOT CLEAN: 2 checks, 1 violated, 1 skipped; 1 events"));
        assert_eq!(report.violated(), ["one claim"]);
    }
}
