//! Locks and temporary files of processes that were killed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use sndpipe_cache::Store;

use crate::kit::{Kit, key};

const CHILD: &str = "SNDPIPE_CACHE_TEST_CHILD";

/// Not a test of its own: what the child of the next test does.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = Store::open(dir.as_ref()).unwrap();
    let _lock = store.try_lock(&key(1)).unwrap().unwrap();
    println!("\nlocked");
    // Until the parent kills us, or dies itself.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_lock_dies_with_its_process() {
    let kit = Kit::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locks::child", "--nocapture"])
        .env(CHILD, kit.store.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"), "the child did not lock");
    assert!(kit.store.try_lock(&key(1)).unwrap().is_none());
    assert!(kit.store.try_lock(&key(2)).unwrap().is_some());

    // A temporary file of the child stays as long as the child lives.
    let token = format!("{}-", child.id());
    let marks = fs_err::read_dir(kit.store.dir().join("writers-v1")).unwrap();
    let mut names = marks.map(|mark| mark.unwrap().file_name().into_string().unwrap());
    let mark = names.find(|name| name.starts_with(&token)).unwrap();
    let folder = kit.store.dir().join("files-v1/ab");
    fs_err::create_dir_all(&folder).unwrap();
    let temp = folder.join(format!(".tmp-{mark}-Xy12"));
    fs_err::write(&temp, "half").unwrap();
    drop(Store::open(kit.store.dir()).unwrap());
    assert!(temp.exists());

    child.kill().unwrap();
    child.wait().unwrap();
    assert!(kit.store.try_lock(&key(1)).unwrap().is_some());
    drop(Store::open(kit.store.dir()).unwrap());
    assert!(!temp.exists());
    assert!(!kit.store.dir().join("writers-v1").join(mark).exists());
}

#[test]
fn a_lock_is_free_again_when_dropped() {
    let kit = Kit::new();
    let lock = kit.store.try_lock(&key(1)).unwrap().unwrap();
    assert!(kit.store.try_lock(&key(1)).unwrap().is_none());
    drop(lock);
    assert!(kit.store.try_lock(&key(1)).unwrap().is_some());
}

#[test]
fn only_one_of_many_threads_holds_a_lock() {
    let kit = Kit::new();
    let held = std::sync::atomic::AtomicU32::new(0);
    let taken = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    if let Some(lock) = kit.store.try_lock(&key(1)).unwrap() {
                        assert_eq!(held.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        held.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                }
            });
        }
    });
    assert!(taken.into_inner() > 0);
}
