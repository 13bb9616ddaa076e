//! What a process and its descendants use, as the kernel counts it.

use anyhow::Context as _;
use std::{fs, thread::sleep, time::Duration};
use store::clock;

/// The kernel tells times in this unit to everybody (`USER_HZ`), whatever its own is.
const TICK: Duration = Duration::from_millis(10);

/// After a load, how long work that was put off may take: rows on their way into the store.
const QUIET_MAX: Duration = Duration::from_secs(30);
/// A process is quiet when it uses no more than a tick in so long.
const QUIET_SPAN: Duration = Duration::from_millis(300);

/// Time on the processor, user and system, of `root` and all below it.
pub(crate) fn cpu(root: u32) -> anyhow::Result<Duration> {
    let all = all()?;
    let ticks = below(root, &all).map(|it| it.ticks).sum::<u64>();
    Ok(TICK * u32::try_from(ticks).context("ticks")?)
}

/// Time on the processor of one process, without those below it.
pub(crate) fn cpu_alone(id: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let process = parse(id, &stat).context("the kernel's line on a process")?;
    Ok(TICK * u32::try_from(process.ticks_alone).context("ticks")?)
}

/// Resident memory of `root` and all below it, in bytes.
pub(crate) fn memory(root: u32) -> anyhow::Result<u64> {
    let all = all()?;
    let mut kib = 0;
    for process in below(root, &all) {
        let status = fs::read_to_string(format!("/proc/{}/status", process.id))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib += number.unwrap_or_default();
    }
    Ok(kib * 1024)
}

/// Waits until `root` has nothing left to do, so that work it put off is counted too.
pub(crate) fn settle(root: u32) -> anyhow::Result<()> {
    let over = clock::monotonic() + QUIET_MAX;
    let mut before = cpu(root)?;
    while clock::monotonic() < over {
        sleep(QUIET_SPAN);
        let now = cpu(root)?;
        if now.saturating_sub(before) <= TICK {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

/// What every process did on one core.
pub(crate) fn core_busy(core: usize) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(name.as_str()));
    let numbers = line.context("no such core")?.split_whitespace().skip(1);
    // user nice system idle iowait irq softirq steal; guests are counted in user.
    let used = numbers.take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4));
    let ticks = used.filter_map(|(_, number)| number.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}

struct Process {
    id: u32,
    parent: u32,
    ticks: u64,
    ticks_alone: u64,
}

fn all() -> anyhow::Result<Vec<Process>> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ends meanwhile is left out.
        if let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) {
            all.extend(parse(id, &stat));
        }
    }
    Ok(all)
}

/// The name in the second field may hold anything, so fields are counted from its last bracket.
fn parse(id: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // utime and stime, and the same of children that were waited for.
    let ticks_alone = number(11)? + number(12)?;
    let ticks = ticks_alone + number(13)? + number(14)?;
    Some(Process { id, parent: u32::try_from(number(1)?).ok()?, ticks, ticks_alone })
}

fn below(root: u32, all: &[Process]) -> impl Iterator<Item = &Process> {
    let belongs = move |process: &&Process| {
        let mut at = *process;
        loop {
            if at.id == root {
                return true;
            }
            match all.iter().find(|other| other.id == at.parent) {
                Some(parent) => at = parent,
                None => return false,
            }
        }
    };
    all.iter().filter(belongs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_moves_no_field() {
        let stat = "7 (a) b) c) S 3 7 7 0 -1 4194304 1 0 0 0 10 20 1 2 20 0 1 0";
        let process = parse(7, stat).unwrap();
        assert_eq!((process.id, process.parent, process.ticks), (7, 3, 33));
    }
}
