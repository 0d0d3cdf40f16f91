//! File systems that cannot do everything, and locks that other hosts do not see.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use sndpipe_cache::InputState::{Elsewhere, Known, Mine};
use sndpipe_cache::{Ability, CacheError, Named, Policy, Store};

use crate::collect::ended;
use crate::kit::{Kit, commit, key, meta, rows, table};

/// ENOSYS of Lustre without `flock`, ENOLCK of NFS without its lock daemon, EOPNOTSUPP of some in user space.
const NO_LOCKS: [i32; 3] = [38, 37, 95];

#[test]
fn without_locks_everything_works_but_collecting_garbage() {
    for error in NO_LOCKS {
        let kit = Kit::new();
        kit.store.take_ability(Ability::Lock, error);
        let _one = kit.store.try_lock(&key(1)).unwrap().unwrap();
        // Nobody can tell that it is taken.
        assert!(kit.store.try_lock(&key(1)).unwrap().is_some());
        let features = rows(&kit.store);
        assert_eq!(kit.store.open_rows(&features).unwrap().len(), 5);
        assert_eq!(kit.warned(), 1, "{:?}", kit.warnings.lock().unwrap());
        assert!(kit.warnings.lock().unwrap()[0].contains("its file system has no locks"));
        let Err(CacheError::Invalid { what }) = kit.store.collection() else { panic!("not refused") };
        assert!(
            what.contains("no locks") && what.contains("nobody can tell what running processes use"),
            "{what}"
        );
    }
}

#[test]
fn locks_that_other_hosts_do_not_see_keep_from_collecting_garbage() {
    let kit = Kit::new();
    kit.store.take_ability(Ability::LockAcross, 95);
    let one = kit.store.try_lock(&key(1)).unwrap().unwrap();
    assert!(kit.store.try_lock(&key(1)).unwrap().is_none(), "on this host they hold");
    drop(one);
    assert!(kit.store.try_lock(&key(1)).unwrap().is_some());
    assert_eq!(kit.warned(), 1, "{:?}", kit.warnings.lock().unwrap());
    assert!(kit.warnings.lock().unwrap()[0].contains("no locks that all processes see"));
    let Err(CacheError::Invalid { what }) = kit.store.collection() else { panic!("not refused") };
    assert!(what.contains("mount it with locks"), "{what}");
}

#[test]
fn where_files_do_not_keep_their_numbers_locks_do_not_count() {
    let kit = Kit::new();
    kit.store.take_ability(Ability::Numbers, 95);
    assert!(kit.store.try_lock(&key(1)).unwrap().is_some());
    let map = kit.store.row_map(&key(1)).unwrap();
    let first = map.claim(&[key(1)]).unwrap();
    assert_eq!(first.states, [Mine]);
    assert_eq!(map.claim(&[key(1)]).unwrap().states, [Elsewhere]);
    assert_eq!(kit.warned(), 1, "{:?}", kit.warnings.lock().unwrap());
    let Err(CacheError::Invalid { what }) = kit.store.collection() else { panic!("not refused") };
    assert!(what.contains("its files do not keep their numbers"), "{what}");
}

#[test]
fn without_locks_a_claim_is_that_of_its_process() {
    let kit = Kit::new();
    kit.store.take_ability(Ability::Lock, 38);
    let map = kit.store.row_map(&key(1)).unwrap();
    let first = map.claim(&[key(1)]).unwrap();
    let second = map.claim(&[key(1), key(2)]).unwrap();
    assert_eq!(second.states, [Elsewhere, Mine]);
    let holder = second.holder.unwrap();
    assert!(kit.store.is_busy(&holder));
    commit(&map, &[1]);
    drop(first);
    assert!(!kit.store.is_busy(&holder));
    assert_eq!(map.claim(&[key(1)]).unwrap().states, [Known]);
}

#[test]
fn a_folder_that_cannot_be_synced_is_passed_over() {
    // EINVAL and EOPNOTSUPP of CIFS and some in user space, ENOSYS, EBADF.
    for error in [22, 95, 38, 9] {
        let kit = Kit::new();
        kit.store.take_ability(Ability::SyncFolder, error);
        rows(&kit.store);
        kit.store.put_table("clips", meta(1), &table()).unwrap();
        kit.store.collection().unwrap().unwrap().run(&Policy::default(), &names, false).unwrap();
        assert_eq!((kit.store.verify(&|_, _| {}).unwrap(), kit.warned()), (vec![], 0));
    }
    // A disk that is broken is something else.
    let kit = Kit::new();
    kit.store.take_ability(Ability::SyncFolder, 5);
    assert!(kit.store.put_table("clips", meta(1), &table()).is_err());
}

fn names(record: &[u8]) -> Option<Named> {
    Some(Named { ids: serde_json::from_slice(record).ok()?, passing: false })
}

/// Keeps nothing but what is held.
fn nothing() -> Policy {
    Policy { since: u64::MAX, unrecorded_since: u64::MAX, ..Policy::default() }
}

/// Ends with the test.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Sleeper {
        Sleeper(Command::new("sleep").arg("600").spawn().unwrap())
    }

    /// When it was started, as the system says.
    fn started(&self) -> u64 {
        let stat = fs_err::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).unwrap().parse().unwrap()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A mark that nobody has locked, as far as this host can see: that of a process which uses an artefact. `place` is added to where it says to run.
fn mark(kit: &Kit, sleeper: &Sleeper, place: u64, holds: &[u8]) -> PathBuf {
    let folder = kit.store.dir().join("writers-v1");
    let own = fs_err::read_dir(&folder).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let here = u64::from_str_radix(own.rsplit_once('-').unwrap().1, 16).unwrap();
    let (id, started) = (sleeper.0.id(), sleeper.started());
    let path = folder.join(format!("{id}-0-1-{started:x}-{:x}", here.wrapping_add(place)));
    fs_err::write(&path, holds).unwrap();
    path
}

/// Collects as another process would.
fn collect(kit: &Kit) -> u64 {
    let other = Store::open(kit.store.dir()).unwrap();
    other.collection().unwrap().unwrap().run(&nothing(), &names, false).unwrap().bytes()
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_process_holds_stays_though_its_lock_is_not_seen() {
    let kit = Kit::new();
    let sleeper = Sleeper::new();
    let clips = kit.store.put_table("clips", meta(1), &table()).unwrap();
    let mark = mark(&kit, &sleeper, 0, clips.id.as_bytes());
    // A lock and a temporary file of that process.
    let token = mark.file_name().unwrap().to_str().unwrap();
    let temp = kit.store.dir().join(format!("files-v1/.tmp-{token}-x"));
    fs_err::write(&temp, "half").unwrap();
    let lock = kit.store.dir().join("locks-v1").join(clips.id.to_hex());
    fs_err::write(&lock, "").unwrap();
    let kit = ended(kit);
    collect(&kit);
    assert!(kit.store.is_present(&kit.store.manifest(&clips.id).unwrap()));
    assert!(mark.exists() && temp.exists() && lock.exists());
    drop(sleeper);
    assert!(collect(&kit) > 0);
    assert_eq!(kit.store.manifest(&clips.id), None);
    assert!(!temp.exists() && !lock.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn what_another_host_holds_stays_as_long_as_its_mark_is_touched() {
    let kit = Kit::new();
    let sleeper = Sleeper::new();
    let clips = kit.store.put_table("clips", meta(1), &table()).unwrap();
    // Its processes are not ours to look for.
    let mark = mark(&kit, &sleeper, 1, clips.id.as_bytes());
    drop(sleeper);
    let kit = ended(kit);
    let touched = |ago: u64| {
        let file = fs_err::OpenOptions::new().append(true).open(&mark).unwrap();
        file.file().set_modified(SystemTime::now() - Duration::from_secs(ago)).unwrap();
    };
    touched(600);
    collect(&kit);
    assert!(kit.store.manifest(&clips.id).is_some() && mark.exists());
    touched(2 * 3600);
    assert!(collect(&kit) > 0);
    assert!(kit.store.manifest(&clips.id).is_none() && !mark.exists());
}

#[test]
fn what_another_host_claims_is_free_a_few_beats_after_its_last() {
    let kit = Kit::new();
    let sleeper = Sleeper::new();
    let mark = mark(&kit, &sleeper, 1, &[]);
    drop(sleeper);
    let token = mark.file_name().unwrap().to_str().unwrap();
    let left = kit.store.dir().join("locks-v1").join(format!("{}.{token}.0", key(1)));
    let map = kit.store.row_map(&key(1)).unwrap();
    drop(map.claim(&[key(2)]).unwrap());
    fs_err::write(&left, key(1).as_bytes()).unwrap();
    let claim = |ago: u64| {
        let file = fs_err::OpenOptions::new().append(true).open(&mark).unwrap();
        file.file().set_modified(SystemTime::now() - Duration::from_secs(ago)).unwrap();
        map.claim(&[key(1)]).unwrap().states
    };
    assert_eq!(claim(200), [Elsewhere]);
    assert_eq!(claim(400), [Mine]);
    assert!(!left.exists() && mark.exists(), "what it holds stays for longer");
}

#[test]
fn nobody_but_a_collection_removes_the_file_of_a_lock() {
    let kit = Kit::new();
    let lock = kit.store.try_lock(&key(1)).unwrap().unwrap();
    let path = kit.store.dir().join("locks-v1").join(key(1).to_hex());
    drop(lock);
    assert!(path.exists());
    assert!(kit.store.try_lock(&key(1)).unwrap().is_some());
    collect(&kit);
    assert!(!path.exists());
}

#[test]
fn a_file_with_other_bytes_than_its_name_says_is_written_anew() {
    let kit = Kit::new();
    let blob = kit.store.put_blob("file", meta(1), b"good", "bin").unwrap();
    let path = kit.only("files-v1", "bin");
    fs_err::write(&path, "bad!").unwrap();
    // Another artefact of the same bytes, and the same one where nothing is trusted.
    kit.store.put_blob("file", meta(2), b"good", "bin").unwrap();
    assert_eq!(kit.store.read_blob(&blob).unwrap(), b"good");
    fs_err::write(&path, "bad!").unwrap();
    let doubting = kit.store.metered(&std::sync::Arc::new(sndpipe_cache::Traffic::doubting()));
    kit.store.put_blob("file", meta(1), b"good", "bin").unwrap();
    assert!(kit.store.read_blob(&blob).is_err(), "it is there, as far as its length tells");
    doubting.put_blob("file", meta(1), b"good", "bin").unwrap();
    assert_eq!(kit.store.read_blob(&blob).unwrap(), b"good");

    let features = rows(&kit.store);
    let path = kit.store.file_path(features.files().nth(1).unwrap());
    let mut bytes = fs_err::read(&path).unwrap();
    let at = bytes.windows(4).position(|window| window == 3000f32.to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    assert!(!doubting.is_whole(&features));
}
