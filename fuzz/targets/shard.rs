#![no_main]

sndpipe_fuzz::target!(shard);
