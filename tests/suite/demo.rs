//! The main job on a fresh machine: one command that shows everything and keeps its data.

use std::fs;
use tests::process;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_goes_as_stated_keeps_its_data_and_starts_over_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |more: &'static [&'static str]| {
        let args = [&["demo", "--exit", "--dir", "data"], more].concat();
        let folder = folder.path().to_owned();
        async move { process::run(&folder, &args).await.ok() }
    };

    let first = demo(&[]).await;
    let store = largest(folder.path());
    let second = demo(&[]).await;
    let kept = largest(folder.path());
    let fresh = demo(&["--fresh"]).await;

    for said in [&first, &second, &fresh] {
        for word in ["economy", "masked", "policy", "budget", "curl", "openai", "tokens"] {
            assert!(said.to_lowercase().contains(word), "`{word}` is not in\n{said}");
        }
    }
    assert!(0 < store && store <= kept, "{store} bytes, then {kept}");
}

/// Bytes of the largest file that the demo keeps.
fn largest(folder: &std::path::Path) -> u64 {
    let entries = fs::read_dir(folder.join("data")).expect("the folder that it names");
    let sizes = entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|file| file.len());
    sizes.max().unwrap_or_default()
}
