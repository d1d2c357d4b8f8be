//! Processor time, by process, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// The kernel shows times in hundredths of a second to every program, whatever it counts in.
const TICKS_PER_SECOND: u64 = 100;

/// A process's share in a run.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its name in reports.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Whether its children belong to it: Postgres has one per connection.
    pub with_children: bool,
}

/// Processor time until some moment.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Of each process, in the order asked for.
    pub used: Vec<Duration>,
    /// Of the whole machine, idle time excepted.
    pub machine: Duration,
}

/// Reads the processor time of these processes.
pub fn read(processes: &[Process]) -> Reading {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let stats: HashMap<u32, Stat> = pids
        .filter_map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, Stat::parse(&text)?))
        })
        .collect();
    let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
    Reading {
        used: processes.iter().map(|process| used(process, &stats)).collect(),
        machine: busy(&machine).unwrap_or_default(),
    }
}

impl Reading {
    /// What was used since an earlier reading.
    pub fn since(&self, before: &Self) -> Self {
        let used = self.used.iter().zip(&before.used);
        Self {
            used: used.map(|(now, then)| now.saturating_sub(*then)).collect(),
            machine: self.machine.saturating_sub(before.machine),
        }
    }
}

struct Stat {
    parent: u32,
    own: u64,
    /// Of children that ended and were waited for.
    ended: u64,
}

impl Stat {
    /// See `proc_pid_stat(5)`. The name may hold anything, so fields are counted from its end on.
    fn parse(text: &str) -> Option<Self> {
        let rest = &text[text.rfind(')')? + 1..];
        // The first of them is field 3, the state.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(14)? + ticks(15)?,
            ended: ticks(16)? + ticks(17)?,
        })
    }
}

fn used(process: &Process, stats: &HashMap<u32, Stat>) -> Duration {
    let Some(own) = stats.get(&process.pid) else { return Duration::ZERO };
    let mut ticks = own.own;
    if process.with_children {
        let children = stats.values().filter(|stat| stat.parent == process.pid);
        ticks += own.ended + children.map(|stat| stat.own + stat.ended).sum::<u64>();
    }
    from_ticks(ticks)
}

/// See `proc_stat(5)`: user, nice, system, idle, iowait, irq, softirq, steal.
fn busy(text: &str) -> Option<Duration> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let fields = line.split_ascii_whitespace().map(|field| field.parse::<u64>().ok());
    let fields: Vec<u64> = fields.collect::<Option<_>>()?;
    let idle = fields.get(3)? + fields.get(4)?;
    Some(from_ticks(fields.iter().take(8).sum::<u64>() - idle))
}

const fn from_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_end_of_the_name() {
        let text = "42 (a) b) c) S 7 42 42 0 -1 4194560 100 0 0 0 250 50 30 20 20 0 9 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended), (7, 300, 50));
        assert!(Stat::parse("42 (short) S 7").is_none());
    }

    #[test]
    fn children_count_where_they_belong() {
        let stat = |parent, own, ended| Stat { parent, own, ended };
        let stats = HashMap::from([(1, stat(0, 10, 5)), (2, stat(1, 100, 1)), (3, stat(2, 7, 0))]);
        let process = |pid, with_children| Process { name: String::new(), pid, with_children };
        assert_eq!(used(&process(1, true), &stats), Duration::from_millis(1_160));
        assert_eq!(used(&process(1, false), &stats), Duration::from_millis(100));
        assert_eq!(used(&process(9, true), &stats), Duration::ZERO);
    }

    #[test]
    fn idle_time_is_not_busy() {
        let text = "cpu  10 20 30 1000 40 5 6 7 99 99\ncpu0 1 2 3\n";
        assert_eq!(busy(text), Some(Duration::from_millis(780)));
    }

    #[test]
    fn this_process_can_be_read() {
        let me = Process { name: "me".into(), pid: std::process::id(), with_children: false };
        let before = read(std::slice::from_ref(&me));
        let mut sum = 0_u64;
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(60) {
            sum = std::hint::black_box(sum + 1);
        }
        let used = read(&[me]).since(&before);
        assert!(used.used[0] >= Duration::from_millis(20), "{used:?}");
        assert!(used.machine >= Duration::from_millis(20), "{used:?}");
    }
}
