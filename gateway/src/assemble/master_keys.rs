//! Finds the master key, and makes one where a first start needs none but its own.

use crate::config::{self, Config};
use anyhow::{Context, bail};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};
use store::{
    entropy,
    seal::{MasterKey, Secret},
    vault::Vault,
};

/// The file that a first start makes beside a SQLite store.
const FILE_NAME: &str = "master.key";
/// Bytes of a file of keys, at most.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Who may read such a file: nobody but its owner.
const OTHERS: u32 = 0o077;

/// The keys that the settings name.
pub(super) struct MasterKeys {
    pub(super) current: MasterKey,
    pub(super) older: Vec<MasterKey>,
}

/// Reads them. With a SQLite store and nothing configured, the first start makes a key.
pub(super) async fn read(config: &Config, vault: &dyn Vault) -> anyhow::Result<MasterKeys> {
    let secrets = &config.secrets;
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    let current = if !secrets.master_key_env.is_empty() {
        let name = &secrets.master_key_env;
        parse(&from_environment("master_key_env", name)?, &format!("the variable `{name}`"))?
    } else if is_set(&secrets.master_key_file) {
        from_file(&secrets.master_key_file)?
    } else {
        beside_store(config, vault).await?
    };
    let (text, place) = if !secrets.older_master_keys_env.is_empty() {
        let name = &secrets.older_master_keys_env;
        (from_environment("older_master_keys_env", name)?, format!("the variable `{name}`"))
    } else if is_set(&secrets.older_master_keys_file) {
        let path = &secrets.older_master_keys_file;
        (text_of(open(path)?, path)?, format!("`{}`", path.display()))
    } else {
        return Ok(MasterKeys { current, older: Vec::new() });
    };
    let texts = text.expose().split(|it: char| it.is_whitespace() || it == ',');
    let texts = texts.filter(|text| !text.is_empty());
    let older = texts.zip(1..).map(|(text, number)| {
        let key = MasterKey::parse(text);
        key.with_context(|| format!("master key {number} of {place} cannot be used"))
    });
    Ok(MasterKeys { current, older: older.collect::<anyhow::Result<_>>()? })
}

/// The key in the file beside the SQLite store. A new one is made only for a store that has no
/// data key yet: it would open nothing of what another has wrapped.
async fn beside_store(config: &Config, vault: &dyn Vault) -> anyhow::Result<MasterKey> {
    let store = config.sqlite().context(
        "[secrets]: with PostgreSQL the master key must be configured: set master_key_file or \
         master_key_env; `penstock secrets generate-master-key` prints a key",
    )?;
    let path = store.with_file_name(FILE_NAME);
    if fs::exists(&path).with_context(|| path.display().to_string())? {
        return from_file(&path);
    }
    let wrapped = vault.all_data_keys().await?.len();
    if 0 < wrapped {
        bail!(
            "the master key `{}` is missing, and the store has {wrapped} data keys that a master \
             key wraps: put the file back, or set [secrets] master_key_file or master_key_env; a \
             new key would open nothing",
            path.display()
        );
    }
    make(&path).with_context(|| format!("making the master key `{}`", path.display()))?;
    tracing::warn!(
        path = %path.display(),
        "a master key was made: keep a copy of it, apart from the store's backups"
    );
    from_file(&path)
}

/// Makes the file whole or not at all, and never over another: of two that make it at once, one
/// wins, and both read what that one made.
fn make(path: &Path) -> anyhow::Result<()> {
    let (_, text) = MasterKey::generate()?;
    let draft = path.with_extension(format!("key.{}", hex::encode(entropy::id()?)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = writeln!(file, "{}", text.expose()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(fault) if fault.kind() != ErrorKind::AlreadyExists => return Err(fault.into()),
        Ok(()) | Err(_) => {}
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    Ok(())
}

fn from_environment(setting: &str, name: &str) -> anyhow::Result<Secret<String>> {
    let text = config::environment(name);
    text.map(Secret::new).with_context(|| format!("[secrets] {setting}: `{name}` is not set"))
}

fn from_file(path: &Path) -> anyhow::Result<MasterKey> {
    parse(&text_of(open(path)?, path)?, &format!("`{}`", path.display()))
}

fn parse(text: &Secret<String>, place: &str) -> anyhow::Result<MasterKey> {
    MasterKey::parse(text.expose())
        .with_context(|| format!("the master key in {place} cannot be used"))
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("the master key `{}`", path.display()))
}

/// The file's text; refused if others than its owner may read or write it.
fn text_of(file: File, path: &Path) -> anyhow::Result<Secret<String>> {
    let mode = file.metadata()?.mode();
    if mode & OTHERS != 0 {
        bail!(
            "others than its owner may use the master key `{path}` (mode {:04o}): run \
             `chmod 600 {path}`",
            mode & 0o7777,
            path = path.display()
        );
    }
    // As large as it may become: it is not copied while it grows.
    let mut text = String::with_capacity(FILE_BYTES_MAX);
    let most = u64::try_from(FILE_BYTES_MAX)?;
    let read = file.take(most).read_to_string(&mut text);
    let text = Secret::new(text);
    read.with_context(|| format!("the master key `{}`", path.display()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, sync::Arc};
    use store::{
        model::Model,
        seal::{Keeper, KeyWrapper},
    };

    fn config(folder: &Path, text: &str) -> Config {
        let text = format!("[store]\nurl = 'sqlite:penstock.db'\n[secrets]\n{text}\n");
        config::read(&text, folder).unwrap()
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn new_key() -> (MasterKey, String) {
        let (key, text) = MasterKey::generate().unwrap();
        (key, text.expose().clone())
    }

    async fn refused(config: &Config, vault: &Model) -> String {
        format!("{:#}", read(config, vault).await.err().unwrap())
    }

    #[tokio::test]
    async fn a_first_start_makes_a_key_for_its_owner_and_the_next_one_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let (config, vault) = (config(folder.path(), ""), Model::default());

        let first = read(&config, &vault).await.unwrap();
        let second = read(&config, &vault).await.unwrap();

        assert_eq!(first.current.id(), second.current.id());
        let path = folder.path().join("master.key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "no draft is left: {names:?}");
    }

    #[tokio::test]
    async fn a_key_that_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        write(&path, "precious", 0o600);

        make(&path).unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn no_key_is_made_for_a_store_that_has_data_keys() {
        let folder = tempfile::tempdir().unwrap();
        let (config, vault) = (config(folder.path(), ""), Arc::new(Model::default()));
        let current = Arc::new(read(&config, vault.as_ref()).await.unwrap().current);
        Keeper::new(vault.clone(), current, Vec::new()).check().await.unwrap();
        fs::remove_file(folder.path().join("master.key")).unwrap();

        let said = refused(&config, &vault).await;

        assert!(said.contains("put the file back"), "{said}");
        assert!(!folder.path().join("master.key").exists());
    }

    #[tokio::test]
    async fn what_is_configured_must_be_there_and_be_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let (config, vault) =
            (config(folder.path(), "master_key_file = 'my.key'"), Model::default());
        let path = folder.path().join("my.key");
        assert!(refused(&config, &vault).await.contains("my.key"));

        let (key, text) = new_key();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            write(&path, &text, mode);
            let said = refused(&config, &vault).await;
            assert!(said.contains("chmod 600") && !said.contains(&text), "{said}");
        }
        write(&path, &text, 0o400);
        assert_eq!(read(&config, &vault).await.unwrap().current.id(), key.id());
        fs::remove_file(&path).unwrap();
        write(&path, "changeme", 0o600);
        let said = refused(&config, &vault).await;
        assert!(said.contains("generate-master-key") && !said.contains("changeme"), "{said}");
    }

    #[tokio::test]
    async fn older_keys_are_read_in_any_number() {
        let folder = tempfile::tempdir().unwrap();
        let text = "older_master_keys_file = 'older.keys'";
        let (config, vault) = (config(folder.path(), text), Model::default());
        let path = folder.path().join("older.keys");
        let ((one, one_text), (two, two_text)) = (new_key(), new_key());
        write(&path, &format!("{one_text}\n\n {two_text},\n"), 0o600);

        let older = read(&config, &vault).await.unwrap().older;

        let ids: Vec<&str> = older.iter().map(KeyWrapper::id).collect();
        assert_eq!(ids, [one.id(), two.id()]);
        write(&path, &format!("{one_text}\nhunter2\n"), 0o600);
        let said = refused(&config, &vault).await;
        assert!(said.contains("master key 2") && !said.contains("hunter2"), "{said}");
    }

    #[tokio::test]
    async fn with_postgresql_the_key_must_be_configured() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[store]\nurl = 'postgres://localhost/penstock'\n";
        let config = config::read(text, folder.path()).unwrap();

        let said = refused(&config, &Model::default()).await;

        assert!(said.contains("must be configured"), "{said}");
    }
}
