//! Lines at the end of a file, on the disk before they count as written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// For the owner, and for a group of those who collect it.
const MODE: u32 = 0o640;

/// Adds lines, each with its end. The file is opened anew each time, so that it may be moved away.
pub(super) async fn append(path: &Path, lines: String) -> io::Result<()> {
    let path = path.to_owned();
    // What cannot be awaited has panicked, and has written nothing that counts.
    let written = tokio::task::spawn_blocking(move || write(&path, &lines)).await;
    written.unwrap_or_else(|fault| Err(io::Error::other(fault)))
}

fn write(path: &Path, lines: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)?;
    let torn = !ends_whole(&mut file)?;
    // Half a line that an earlier process left stays half a line.
    let text = if torn { format!("\n{lines}") } else { lines.to_owned() };
    file.write_all(text.as_bytes())?;
    file.sync_data()
}

/// Whether the file is empty or ends with the end of a line.
fn ends_whole(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The last lines of a file, of `bytes_max` at most; nothing if there is no such file.
pub(super) async fn tail(path: PathBuf, bytes_max: u64) -> io::Result<String> {
    let read = tokio::task::spawn_blocking(move || {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(fault) => return Err(fault),
        };
        let skipped = file.metadata()?.len().saturating_sub(bytes_max);
        file.seek(SeekFrom::Start(skipped))?;
        let mut bytes = Vec::new();
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    });
    read.await.unwrap_or_else(|fault| Err(io::Error::other(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_a_line_of_an_earlier_process_spoils_no_line_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/events");
        append(&path, "one\n".to_owned()).await.unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"ha").unwrap();

        append(&path, "two\nthree\n".to_owned()).await.unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nha\ntwo\nthree\n");
        assert_eq!(tail(path, 7).await.unwrap(), "\nthree\n");
        assert_eq!(tail(folder.path().join("none"), 7).await.unwrap(), "");
    }
}
