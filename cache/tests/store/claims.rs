//! Who computes which row.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sndpipe_cache::InputState::{Elsewhere, Known, Mine};

use crate::kit::{Kit, commit, key};

#[test]
fn what_one_claims_is_elsewhere_for_others_until_it_is_known() {
    let kit = Kit::new();
    let (one, two) = (kit.store.row_map(&key(1)).unwrap(), kit.store.row_map(&key(1)).unwrap());
    let first = one.claim(&[key(1), key(2)]).unwrap();
    assert_eq!(first.states, [Mine, Mine]);
    assert!(first.holder.is_none());

    let second = two.claim(&[key(2), key(3)]).unwrap();
    assert_eq!(second.states, [Elsewhere, Mine]);
    let holder = second.holder.unwrap();
    assert!(kit.store.is_busy(&holder));
    // Another map has other rows.
    assert_eq!(kit.store.row_map(&key(9)).unwrap().claim(&[key(2)]).unwrap().states, [Mine]);

    commit(&one, &[1, 2]);
    drop(first.claim);
    assert!(!kit.store.is_busy(&holder));
    let third = two.claim(&[key(1), key(2), key(3), key(4)]).unwrap();
    assert_eq!(third.states, [Known, Known, Elsewhere, Mine]);
}

#[test]
fn a_claim_that_is_given_up_is_free_at_once() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    let claimed = map.claim(&[key(1)]).unwrap();
    let holder = map.claim(&[key(1)]).unwrap().holder.unwrap();
    drop(claimed);
    assert!(!kit.store.is_busy(&holder));
    assert_eq!(map.claim(&[key(1)]).unwrap().states, [Mine]);
}

#[test]
fn the_claim_of_a_dead_process_counts_for_nothing() {
    let kit = Kit::new();
    let map = kit.store.row_map(&key(1)).unwrap();
    drop(map.claim(&[key(1)]).unwrap());
    // What a killed process leaves: the file, and no lock on it.
    let left = kit.store.dir().join("locks-v1").join(format!("{}.1-0", key(1)));
    fs_err::write(&left, key(1).as_bytes()).unwrap();
    assert_eq!(map.claim(&[key(1)]).unwrap().states, [Mine]);
    assert!(!left.exists());
}

#[test]
fn every_row_is_claimed_once_by_many_threads() {
    // A claim that looked at commits before claims would take a row twice in every fiftieth round.
    (0..60).for_each(|_| claim_by_many_threads());
}

fn claim_by_many_threads() {
    let kit = Kit::new();
    let claimed: Mutex<BTreeMap<u32, u32>> = Mutex::default();
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let (kit, claimed) = (&kit, &claimed);
            scope.spawn(move || {
                let map = kit.store.row_map(&key(1)).unwrap();
                for batch in 0..10 {
                    // All ask for the same rows, each in another order.
                    let seeds: Vec<u32> = (0..10).map(|i| (batch + thread) % 10 * 10 + i).collect();
                    let inputs: Vec<_> = seeds.iter().map(|&seed| key(seed.into())).collect();
                    let got = map.claim(&inputs).unwrap();
                    let mine: Vec<u32> = (seeds.iter().zip(&got.states))
                        .filter(|(_, state)| **state == Mine)
                        .map(|(seed, _)| *seed)
                        .collect();
                    mine.iter().for_each(|seed| *claimed.lock().unwrap().entry(*seed).or_default() += 1);
                    commit(&map, &mine);
                }
            });
        }
    });
    let claimed = claimed.into_inner().unwrap();
    assert_eq!(claimed.len(), 100);
    assert!(claimed.values().all(|&times| times == 1), "{claimed:?}");
}
