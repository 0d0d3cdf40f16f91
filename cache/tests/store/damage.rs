//! Damage of every kind in every kind of file: noticed, never a panic, never wrong data.

use sndpipe_cache::Bucket;

use crate::kit::Kit;

#[test]
fn a_damaged_document_is_absent_and_warned_about_once() {
    let kit = Kit::new();
    kit.store.put_document(Bucket::Records, "abc", b"hello").unwrap();
    let path = kit.only("records-v1", "");
    let good = fs_err::read(&path).unwrap();
    let mut bad = good.clone();
    bad[0] ^= 1;
    fs_err::write(&path, bad).unwrap();
    assert_eq!(kit.store.document(Bucket::Records, "abc").unwrap(), None);
    assert_eq!(kit.store.document(Bucket::Records, "abc").unwrap(), None);
    assert_eq!(kit.warned(), 1);
    kit.store.put_document(Bucket::Records, "abc", b"hello").unwrap();
    assert_eq!(kit.store.document(Bucket::Records, "abc").unwrap().as_deref(), Some(&b"hello"[..]));
}
