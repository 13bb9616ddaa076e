//! Who has the journal that a gateway cannot have.

use crate::journal::OpenFault;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The same fault; of a journal that is in use with who has it and what to do.
pub(super) fn explained(fault: anyhow::Error) -> anyhow::Error {
    let Some(OpenFault::Locked(path)) = fault.downcast_ref::<OpenFault>() else { return fault };
    let (journal, holder) = (path.display(), holder(path));
    let (who, how) = match &holder {
        Some(Holder { id, name }) => (format!("process {id} ({name})"), format!(" (`kill {id}`)")),
        // Another container's processes are not seen from here.
        None => ("another process".to_owned(), String::new()),
    };
    anyhow::anyhow!(
        "journal `{journal}`: {who} has it: a gateway runs on it already; end that one \
         first{how}, or give this one another `path` under `[journal]`"
    )
}

struct Holder {
    id: u32,
    name: String,
}

fn holder(journal: &Path) -> Option<Holder> {
    let lock: PathBuf = journal.with_extension("lock");
    let inode = fs::metadata(lock).ok()?.ino();
    let id = owner(&fs::read_to_string("/proc/locks").ok()?, inode)?;
    let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
    Some(Holder { id, name: name.trim().to_owned() })
}

/// Who holds a lock on the file of this inode, as proc_locks(5) tells it.
fn owner(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        // One that waits has an arrow here.
        let held = words.next()? == "FLOCK";
        let (id, file) = (words.nth(2)?, words.next()?);
        let found = file.rsplit(':').next()?.parse() == Ok(inode);
        if held && found { id.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_the_file_and_not_among_those_who_wait() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 11 fe:01:77 0 EOF
2: FLOCK  ADVISORY  WRITE 12 fe:01:78 0 EOF
3: FLOCK  ADVISORY  WRITE 13 fe:01:77 0 EOF
3: -> FLOCK  ADVISORY  WRITE 14 fe:01:77 0 EOF
";

        assert_eq!(owner(locks, 77), Some(13));
        assert_eq!(owner(locks, 79), None);
        assert_eq!(owner("nonsense\n", 77), None);
    }
}
