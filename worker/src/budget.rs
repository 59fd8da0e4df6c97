//! How much memory the process may use, and how it is shared out.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use crate::plan::{Plan, PlanError};

const MIB: u64 = 1 << 20;

/// What is kept back for the runtime and the client.
const BASE_BYTES: u64 = 48 * MIB;

/// What the plan holds for an object besides its texts.
const PLANNED_BYTES: u64 = 256;

/// What the commit holds for an object besides its texts: its plan, its record,
/// its lines of the manifest, and these as JSON, as written and as read back.
const COMMITTED_BYTES: u64 = 2048;

/// How often the commit holds the texts of an object.
const COMMITTED_TEXTS: u64 = 6;

/// What the writer of a large output holds at least besides parts in flight: one
/// being filled, and the chunks in the channel.
const FILLING_BYTES: u64 = 18 * MIB;

/// Fewest and most bytes of parts in flight for a large output: two parts, so that
/// one is on its way while another waits for its answer, and sixteen. A connection
/// carries 85 MB/s, and a part of 16 MiB keeps it busy for two thirds of the time.
const PARTS_BYTES: std::ops::RangeInclusive<u64> = 32 * MIB..=256 * MIB;

/// The least that the writer of a large output holds.
const WRITER_BYTES: u64 = FILLING_BYTES + *PARTS_BYTES.start();

/// The same for rows that are left out and kept, with the parts in flight.
const QUARANTINE_BYTES: u64 = 16 * MIB;

/// Most large outputs written at once: more overlap nothing that these do not.
const MAX_CONVERSIONS: u64 = 4;

/// What an object holds while it waits: the end of it, with its footer.
const WAITING_BYTES: u64 = MIB / 2;

/// What an object holds besides what the engine uses: the beginning of its
/// output, and the chunks in the channel.
pub(crate) const OUTPUT_BYTES: u64 = 2 * MIB;

/// Most objects at once, and fewest. The requests for small ones take all the
/// time there is, so it is their number that counts.
const OBJECTS: std::ops::RangeInclusive<u64> = 4..=64;

/// An object up to this size in bytes is not given a whole share.
const SMALL_OBJECT_BYTES: u64 = MIB;

/// What a small object is given at first.
const SMALL_SHARE_BYTES: u64 = 24 * MIB;

/// Memory where nothing limits it and nothing tells how much there is.
const FALLBACK_BYTES: u64 = 2 << 30;

/// How memory and threads are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that the whole process may use.
    pub limit_bytes: u64,
    /// Bytes for all conversions together.
    pub engine_bytes: u64,
    /// Large outputs written at once.
    pub conversions: usize,
    /// Objects looked at, converted or written at once. Small ones need little
    /// besides patience.
    pub objects: usize,
    /// Threads of one conversion.
    pub threads: usize,
}

impl Budget {
    /// Shares out `limit_bytes` of memory over `cpus`.
    pub fn new(limit_bytes: u64, cpus: usize) -> Self {
        let by_memory = limit_bytes / 4 / WRITER_BYTES;
        let conversions = (cpus as u64 * 2).min(by_memory).clamp(1, MAX_CONVERSIONS);
        let objects = (limit_bytes / 16 / WAITING_BYTES).clamp(*OBJECTS.start(), *OBJECTS.end());
        let writers = conversions * (FILLING_BYTES + parts_bytes(limit_bytes, conversions));
        let reserved = BASE_BYTES + writers + objects * WAITING_BYTES;
        // A tiny limit still gets a share, so that the refusal can name it.
        let engine_bytes = limit_bytes
            .saturating_sub(reserved)
            .max(limit_bytes / 4)
            .max(MIB);
        Budget {
            limit_bytes,
            engine_bytes,
            conversions: conversions as usize,
            objects: objects as usize,
            threads: cpus.max(1),
        }
    }

    /// The budget of this process: what the order allows, within its part of what
    /// it finds. `shares` workers live on that together.
    pub fn detect(order_limit: Option<u64>, shares: NonZero<u64>) -> Self {
        let limit = limit_of(order_limit, cgroup_limit(), available_memory, shares);
        let cpus = available_parallelism().map_or(1, usize::from);
        Budget::new(limit.unwrap_or(FALLBACK_BYTES), cpus)
    }

    /// Refuses a plan of more objects than the commit has memory for. By then
    /// the conversions are over, and the whole limit is there for it.
    ///
    /// # Errors
    /// [`PlanError::NotEnoughMemory`], which says how much would do.
    pub fn check(self, plan: &Plan) -> Result<(), PlanError> {
        let objects = plan.inputs.len() as u64;
        let documents = objects * COMMITTED_BYTES + plan.text_bytes() * COMMITTED_TEXTS;
        let needed = BASE_BYTES + documents;
        if objects == 1 || needed <= self.limit_bytes {
            return Ok(());
        }
        Err(PlanError::NotEnoughMemory {
            objects: plan.inputs.len(),
            needed_mib: needed.div_ceil(MIB),
            limit_mib: self.limit_bytes / MIB,
        })
    }

    /// The budget of the conversions beside a plan in memory.
    #[must_use]
    pub fn beside(self, plan: &Plan) -> Self {
        let planned = plan.inputs.len() as u64 * PLANNED_BYTES + plan.text_bytes();
        let engine_bytes = self.engine_bytes.saturating_sub(planned).max(MIB);
        Budget {
            engine_bytes,
            ..self
        }
    }

    /// Bytes of parts in flight for one large output.
    pub(crate) fn part_bytes(self) -> usize {
        let bytes = parts_bytes(self.limit_bytes, self.conversions as u64);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// The budget of conversions that keep the rows which they leave out.
    #[must_use]
    pub fn with_quarantine(self) -> Self {
        let writers = self.conversions as u64 * QUARANTINE_BYTES;
        let engine_bytes = self.engine_bytes.saturating_sub(writers).max(MIB);
        Budget {
            engine_bytes,
            ..self
        }
    }

    /// What a conversion of an object of this size may use without asking for
    /// more.
    pub(crate) fn first_ask(self, object_bytes: u64) -> u64 {
        let share = self.engine_bytes / self.conversions as u64;
        if object_bytes <= SMALL_OBJECT_BYTES {
            share.min(SMALL_SHARE_BYTES)
        } else {
            share
        }
    }

    /// Permits of the whole budget: one per MiB.
    pub(crate) fn permits(self) -> usize {
        self.permits_for(self.engine_bytes) as usize
    }

    /// Permits for a conversion; never more than there are.
    pub(crate) fn permits_for(self, bytes: u64) -> u32 {
        let all = (self.engine_bytes / MIB).clamp(1, u64::from(u32::MAX >> 4));
        u32::try_from((bytes / MIB).clamp(1, all)).unwrap_or(1)
    }
}

/// A third of the memory is for outputs on their way: the rest of a conversion
/// needs less than the line.
fn parts_bytes(limit_bytes: u64, conversions: u64) -> u64 {
    let share = (limit_bytes / 3 / conversions).saturating_sub(FILLING_BYTES);
    share.clamp(*PARTS_BYTES.start(), *PARTS_BYTES.end())
}

/// What a container is promised does not depend on how busy its node is: only
/// where nothing limits it does the available memory count.
fn limit_of(
    order: Option<u64>,
    cgroup: Option<u64>,
    available: impl FnOnce() -> Option<u64>,
    shares: NonZero<u64>,
) -> Option<u64> {
    let share = |bytes: u64| bytes / shares;
    let limit = [order, cgroup.map(share)].into_iter().flatten().min();
    limit.or_else(|| available().map(share))
}

/// Memory limit of the cgroup, if it has one.
fn cgroup_limit() -> Option<u64> {
    limit_below(Path::new("/"))
}

fn limit_below(root: &Path) -> Option<u64> {
    let own = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    candidates(&own)
        .iter()
        .filter_map(|file| std::fs::read_to_string(root.join(file)).ok())
        .filter_map(|text| parse_limit(&text))
        .min()
}

/// The files that may hold a limit. In a container the own group is usually
/// mounted as the root, whatever its path is outside.
fn candidates(own: &str) -> Vec<PathBuf> {
    let mut files = vec![
        PathBuf::from("sys/fs/cgroup/memory.max"),
        PathBuf::from("sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ];
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            files.push(Path::new("sys/fs/cgroup").join(path).join("memory.max"));
        } else if controllers.split(',').any(|name| name == "memory") {
            let group = Path::new("sys/fs/cgroup/memory").join(path);
            files.push(group.join("memory.limit_in_bytes"));
        }
    }
    files
}

/// `max`, and the huge numbers by which version 1 says the same, are no limit.
fn parse_limit(text: &str) -> Option<u64> {
    text.trim()
        .parse()
        .ok()
        .filter(|limit| *limit > 0 && *limit < 1 << 60)
}

/// Memory that the machine has to spare.
fn available_memory() -> Option<u64> {
    parse_available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // The page cache of others lives on it too.
    Some(kibibytes * 1024 / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Input;

    #[test]
    fn a_budget_leaves_room_for_everything_else() {
        for (limit, cpus) in [(192 * MIB, 1), (512 * MIB, 2), (8192 * MIB, 16)] {
            let budget = Budget::new(limit, cpus);
            let writer = FILLING_BYTES + budget.part_bytes() as u64;
            let writers = budget.conversions as u64 * writer;
            let waiting = budget.objects as u64 * WAITING_BYTES;
            assert!(
                budget.engine_bytes + writers + waiting + BASE_BYTES <= limit,
                "{budget:?} of {limit}"
            );
            assert!(budget.first_ask(1) > 0);
        }
        assert_eq!(Budget::new(512 * MIB, 2).conversions, 2);
        assert_eq!(Budget::new(8192 * MIB, 16).conversions, 4);
        assert_eq!(Budget::new(MIB, 1).conversions, 1);
        assert_eq!(Budget::new(256 * MIB, 2).objects, 32);
        assert_eq!(Budget::new(8192 * MIB, 2).objects, 64);
    }

    fn plan_of(objects: usize) -> Plan {
        let input = Input {
            key: "k".repeat(60),
            version: None,
            etag: "e".repeat(34),
            size: 1,
            row_groups: None,
            output: "o".repeat(60),
        };
        Plan {
            uid: "u".into(),
            run: 1,
            work_hash: "v1:00".into(),
            engine: "e".into(),
            inputs: vec![input; objects],
            tasks: vec![objects],
        }
    }

    #[test]
    fn more_objects_than_the_commit_can_hold_are_refused_with_what_would_do() {
        let plan = plan_of(100_000);
        let error = Budget::new(256 * MIB, 2).check(&plan).unwrap_err();
        let PlanError::NotEnoughMemory { needed_mib, .. } = error else {
            panic!("{error}");
        };
        assert!((300..512).contains(&needed_mib), "{needed_mib}");
        assert!(Budget::new(needed_mib * MIB, 2).check(&plan).is_ok());
        assert!(Budget::new((needed_mib - 1) * MIB, 2).check(&plan).is_err());
        assert!(Budget::new(256 * MIB, 2).check(&plan_of(50_000)).is_ok());
        // What a conversion needs is another question.
        assert!(Budget::new(MIB, 1).check(&plan_of(1)).is_ok());
    }

    #[test]
    fn a_plan_in_memory_is_taken_from_the_conversions() {
        let budget = Budget::new(512 * MIB, 2);
        let beside = budget.beside(&plan_of(100_000));
        let taken = budget.engine_bytes - beside.engine_bytes;
        assert!((30 * MIB..50 * MIB).contains(&taken), "{taken}");
        assert_eq!(
            Budget::new(MIB, 1).beside(&plan_of(100_000)).engine_bytes,
            MIB
        );
    }

    #[test]
    fn no_conversion_can_ask_for_more_than_there_is() {
        let budget = Budget::new(512 * MIB, 2);
        assert_eq!(budget.permits_for(u64::MAX) as usize, budget.permits());
        assert_eq!(budget.permits_for(0), 1);
    }

    #[test]
    fn what_is_found_is_divided_and_what_is_ordered_is_not() {
        let limit = |order, cgroup, shares| {
            limit_of(order, cgroup, || Some(800), NonZero::new(shares).unwrap())
        };
        assert_eq!(limit(None, None, 1), Some(800));
        assert_eq!(limit(None, None, 4), Some(200));
        assert_eq!(limit(None, Some(400), 1), Some(400));
        assert_eq!(limit(None, Some(400), 4), Some(100));
        assert_eq!(limit(Some(300), None, 4), Some(300));
        assert_eq!(limit(Some(300), Some(400), 1), Some(300));
        assert_eq!(limit(Some(300), Some(400), 4), Some(100));
        // A busy node takes nothing from a container.
        assert_eq!(limit(None, Some(4000), 1), Some(4000));
    }

    #[test]
    fn limits_are_found_in_both_versions_of_cgroups() {
        for (own, file, text) in [
            ("0::/\n", "sys/fs/cgroup/memory.max", "1048576\n"),
            (
                "0::/kubepods/pod1\n",
                "sys/fs/cgroup/kubepods/pod1/memory.max",
                "1048576\n",
            ),
            (
                "5:cpu,cpuacct:/x\n4:memory:/kubepods/pod1\n",
                "sys/fs/cgroup/memory/kubepods/pod1/memory.limit_in_bytes",
                "1048576\n",
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = root.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            };
            write("proc/self/cgroup", own);
            assert_eq!(limit_below(root.path()), None);
            write(file, text);
            assert_eq!(limit_below(root.path()), Some(MIB), "{own}");
        }
    }

    #[test]
    fn words_for_no_limit_are_none() {
        for text in ["max\n", "9223372036854771712\n", "0\n", ""] {
            assert_eq!(parse_limit(text), None, "{text:?}");
        }
    }

    #[test]
    fn available_memory_is_read_from_meminfo() {
        let text = "MemTotal:  100 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(parse_available(text), Some(MIB));
        assert_eq!(parse_available("MemTotal: 1 kB\n"), None);
    }
}
